from pathlib import Path

import numpy as np
import pytest
import torch

from vgan.clips import manifest
from vgan.clips.manifest import ClipRow
from vgan.clips.shards import ShardWriter
from vgan.config import TrainParams

FRAMES, SIZE, TRAIN_CLIPS = 16, 16, 7

PARAMS = TrainParams(
    seed=3,
    generator="two_stream",
    channels=2,
    latent_dim=5,
    context=4,
    image_only_share=0.5,
    first_frame_weight=10.0,
    show_condition=True,
    upsampling="resized",
    discriminator_norm="spectral",
    frame_discriminator=0,
    loss="hinge",
    r1_gamma=0.0,
    r2_gamma=0.0,
    penalty_interval=1,
    batch_size=3,
    accumulate=1,
    steps=11,
    discriminator_steps=1,
    optimizer="adam",
    learning_rate_g=2e-4,
    learning_rate_d=2e-4,
    beta1_g=0.5,
    beta1_d=0.5,
    beta2_g=0.999,
    beta2_d=0.999,
    momentum=0.9,
    decay_start=0,
    decay_steps=0,
    mask_weight=0.1,
    ema_half_life=4.0,
    ema_ramp=0.0,
    augment_flip=False,
    augment_crop=0.0,
    augment_scale=0.0,
    augment_jitter=0.0,
    augment_hue=0.0,
    diffaugment_colour=0.0,
    diffaugment_shift=0.0,
    diffaugment_cutout=0.0,
    sync_batch_norm=True,
    precision="fp32",
    device="cpu",
    log_every=2,
    sample_every=3,
    checkpoint_every=4,
    max_minutes=0.0,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven training clips and one held-out one, of random pixels."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    rows = []
    with ShardWriter(folder, "k") as writer:
        for start in range(TRAIN_CLIPS + 1):
            pixels = rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3), np.uint8)
            shard, offset = writer.add(f"k-{start}", pixels, {"start": start})
            split = "train" if start < TRAIN_CLIPS else "test"
            rows.append(
                ClipRow(
                    id=f"k-{start}",
                    source="a.mp4",
                    start=start,
                    split=split,
                    fps=25.0,
                    shard=shard,
                    offset=offset,
                    kept=True,
                )
            )
    manifest.write(folder, rows)
    return folder

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
    upsampling="resized",
    discriminator_norm="spectral",
    loss="hinge",
    batch_size=3,
    steps=11,
    learning_rate_g=2e-4,
    learning_rate_d=2e-4,
    beta1=0.5,
    beta2=0.999,
    mask_weight=0.1,
    ema_half_life=4.0,
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

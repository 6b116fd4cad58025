"""The only place that names ffmpeg: probe a video, decode its frames or a still, encode frames as a video or animation.

ffmpeg-python writes the command lines; they run without a shell, with standard input closed while decoding, and on
files given as `file:` addresses, so no name is taken for an option or a protocol. Only containers that hold their own
pictures are opened: a playlist renamed to .mp4 cannot make ffmpeg read other files.
"""

from vgan.video.binary import ffmpeg_binary, ffmpeg_version
from vgan.video.decode import read_frames
from vgan.video.encode import write_animation, write_video
from vgan.video.header import VideoInfo, probe
from vgan.video.process import UnusableVideo
from vgan.video.still import read_picture
from vgan.video.vidstab import parts_moved

__all__ = [
    "UnusableVideo",
    "VideoInfo",
    "ffmpeg_binary",
    "ffmpeg_version",
    "parts_moved",
    "probe",
    "read_frames",
    "read_picture",
    "write_animation",
    "write_video",
]

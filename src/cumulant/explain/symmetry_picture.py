"""A symmetry as a picture: a covariance as measured, which entries the group makes equal, and their averages."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from cumulant.symmetry import orbits, reynolds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cumulant.measure import Moments
    from cumulant.symmetry.detect import Finding

    Array = NDArray[np.float64]

__all__ = ["draw_symmetry"]

SIDE, GAP, TOP = 220, 24, 44
BLUE, ORANGE = (58, 122, 201), (214, 112, 26)
THEME = (
    "<style>text{font:12px sans-serif;fill:#24292f}.f{fill:none;stroke:#8c959f}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.f{stroke:#6e7681}}</style>"
)


def draw_symmetry(finding: Finding, m: Moments) -> str:
    """An SVG of the columns that a group moves, on any background.

    Parameters
    ----------
    finding
        One of `cumulant.symmetries`.
    m
        The moments it was found in.

    Returns
    -------
    str
        Three squares side by side: covariance (or correlation) as measured, blue negative and orange positive; orbits
        of pairs, a colour each; and the averages over orbits.
    """
    group = finding.group
    columns = group.columns or m.columns
    at = [m.columns.index(name) for name in columns]
    matrix = (m.correlation if finding.scale == "correlation" else m.covariance)[np.ix_(at, at)]
    moved = group.moved if group.moved.any() else np.ones(len(columns), dtype=bool)
    shown = np.ix_(moved, moved)
    limit = float(np.abs(matrix[shown]).max()) or 1.0
    pictures = (
        ("as measured", _signed(matrix[shown] / limit)),
        ("what it makes equal", _classes(orbits(group, 2).matrix()[shown])),
        ("averaged", _signed(reynolds(group, matrix)[shown] / limit)),
    )
    width = 3 * SIDE + 2 * GAP + 2
    name = f"{finding.group}{' up to scale' if finding.scale == 'correlation' else ''}: {finding.verdict}"
    title = f"{name}, {finding.evidence.free:,} → {finding.evidence.parameters:,} parameters"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + SIDE + 2}" role="img">',
        f'<title>{escape(title)}</title>{THEME}<text x="1" y="14" font-weight="bold">{escape(title)}</text>',
    ]
    for k, (label, pixels) in enumerate(pictures):
        x = 1 + k * (SIDE + GAP)
        out.append(f'<text x="{x}" y="{TOP - 8}">{label}</text>')
        out.append(
            f'<image x="{x}" y="{TOP}" width="{SIDE}" height="{SIDE}" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{base64.b64encode(_png(pixels)).decode()}"/>'
        )
        out.append(f'<rect class="f" x="{x}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>')
    return "".join(out) + "</svg>\n"


def _signed(values: Array) -> NDArray[np.uint8]:
    """Orange for positive, blue for negative, as opaque as they are large (h, w, 4)."""
    out = np.empty((*values.shape, 4), dtype=np.uint8)
    out[..., :3] = np.where(values[..., None] < 0, BLUE, ORANGE)
    out[..., 3] = np.round(255 * np.abs(values) ** 0.7)
    return out


def _classes(labels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A colour for each class, far from those numbered near it; nothing for -1, where the group leaves no moment."""
    hue = (labels * 0.61803398875) % 1.0
    shade = 0.45 + 0.35 * ((labels * 0.7548776662) % 1.0)
    angle = 2 * np.pi * (hue[..., None] - np.array([0.0, 1 / 3, 2 / 3]))
    rgb = shade[..., None] * (0.65 + 0.35 * np.cos(angle))
    alpha = np.where(labels < 0, 0.0, 1.0)[..., None]
    return np.asarray(np.round(255 * np.concatenate([rgb, alpha], axis=-1)), dtype=np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """RGBA pixels (h, w, 4) as a PNG file."""
    height, width = pixels.shape[:2]
    lines = np.concatenate([np.zeros((height, 1), dtype=np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")

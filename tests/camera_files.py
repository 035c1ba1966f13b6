"""Files as cameras, phones and microscopes write them, for tests to read."""

import io
import struct
import zipfile

import cv2
import numpy as np
import tifffile
from PIL import Image

H, W = 48, 64


def smooth(seed=0, top=255):
    """A picture that survives lossy coding: a few bright blobs on a ramp."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(0.1, 0.9, (3, 4, 3))
    large = cv2.resize(small, (W, H), interpolation=cv2.INTER_CUBIC)
    return np.round(top * np.clip(large, 0, 1)).astype(np.uint8 if top == 255 else np.uint16)


def encoded(seed=0, kind="PNG", **save):
    buffer = io.BytesIO()
    Image.fromarray(smooth(seed)).save(buffer, kind, **save)
    return buffer.getvalue()


def write_dng(path, mosaic, orientation=1, xmp=None):
    """A minimal DNG: one uncompressed Bayer page (RGGB, 12 bits) whose colour matrix is that of sRGB."""
    matrix = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]
    tags = [
        (50706, "B", 4, b"\x01\x04\0\0", True),  # DNGVersion
        (50707, "B", 4, b"\x01\x01\0\0", True),
        (50708, "s", 0, "test", True),
        (33421, "H", 2, (2, 2), True),  # CFA
        (33422, "B", 4, b"\0\1\1\2", True),
        (50714, "H", 1, 0, True),  # black and white level
        (50717, "I", 1, 4095, True),
        (50721, "2i", 9, tuple(n for value in matrix for n in (round(value * 10000), 10000)), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),
        (271, "s", 0, "Test", True),
        (272, "s", 0, "Camera R", True),
        (274, "H", 1, orientation, True),
    ]
    if xmp is not None:
        tags.append((700, "B", len(xmp), xmp, True))
    tifffile.imwrite(path, mosaic, photometric="cfa", extratags=tags, metadata=None, software=False)


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def canon_jpeg(path, centimetres, subject_distance=None):
    """A JPEG whose Canon maker note (ShotInfo, entry 19) states a distance, laid out by hand as cameras do."""
    entries = [(0x0004, 3, 34)]  # ShotInfo: 34 shorts
    shot = [68] + [0] * 33
    shot[19] = centimetres
    exif_at = 8 + 2 + 12 * 2 + 4 + 6
    note_at = exif_at + 2 + 12 * (1 if subject_distance is None else 2) + 4 + 8
    note = struct.pack("<H", 1) + struct.pack("<HHII", *entries[0], note_at + 18) + struct.pack("<I", 0)
    note += struct.pack("<34H", *shot)
    ifd0 = struct.pack("<H", 2) + struct.pack("<HHII", 0x010F, 2, 6, 8 + 2 + 24 + 4)
    ifd0 += struct.pack("<HHII", 0x8769, 4, 1, exif_at) + struct.pack("<I", 0) + b"Canon\0"
    fields = [] if subject_distance is None else [struct.pack("<HHII", 0x9206, 5, 1, note_at - 8)]
    fields.append(struct.pack("<HHII", 0x927C, 7, len(note), note_at))
    exif = struct.pack("<H", len(fields)) + b"".join(fields) + struct.pack("<I", 0)
    exif += struct.pack("<II", round(1000 * (subject_distance or 0)), 1000)
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd0 + exif + note
    Image.fromarray(smooth()).save(path, exif=block)


def xmp_packet(inner):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {inner}</rdf:RDF></x:xmpmeta>'.encode()


def write_video(path, positions, size=(160, 120)):
    """A focus sweep: a picture whose columns are sharp one after another, as the position runs from 0 to 1."""
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.uniform(0, 255, (60, 80, 3)), size, interpolation=cv2.INTER_NEAREST)
    levels = [cv2.GaussianBlur(texture, (0, 0), 0.3 + 0.5 * blur) for blur in range(9)]
    place = np.linspace(0, 1, size[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    assert writer.isOpened()
    for position in positions:
        blur = np.clip(np.round(np.abs(place - position) * 10), 0, 8).astype(int)
        columns = [levels[level][:, column] for column, level in enumerate(blur)]
        writer.write(np.stack(columns, axis=1).clip(0, 255).astype(np.uint8))
    writer.release()


def write_packed_tiff(path, pixels, orientation=1):
    """Grey pixels of 12 bits, two in three bytes, as scientific cameras write them."""
    (height, width), (first, second) = pixels.shape, pixels.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 0, 274: orientation, 277: 1, 278: height}
    tags[279] = len(packed)
    tags[273] = start = 8 + 2 + 12 * len(tags) + 4
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + struct.pack("<I", 0)
    assert len(header) == start
    path.write_bytes(header + packed)

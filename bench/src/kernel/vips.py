"""libvips' side of `weir-bench kernel`: the protocol of wire.rs, and the forms in which libvips draws a mark.

The mark and the input are read outside the timed part. Everything stays 8-bit: the mark is drawn only where it is,
`insert` passes the rest of the picture through without a copy. Source: libvips' documentation of `composite`, `insert`,
`ifthenelse`, `draw_mask`.
"""

import json
import sys
import time


def say(line):
    print(json.dumps(line), flush=True)


try:
    import pyvips
except Exception as error:
    say({"version": "", "base": 0, "missing": f"{type(error).__name__}: {error}"})
    sys.exit(0)


def peak():
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def flat(image, like):
    """`image` without the alpha that `composite2` adds."""
    return image if image.bands == like.bands else image.extract_band(0, n=like.bands)


class Mark:
    def __init__(self, job, bands):
        image = pyvips.Image.new_from_file(job["mark"]).copy_memory()
        alpha = image.extract_band(image.bands - 1)
        ink = (pyvips.Image.black(image.width, image.height, bands=bands) + 255).cast("uchar")
        space = "srgb" if bands == 3 else "b-w"
        self.mask = alpha.copy_memory()
        self.ink = ink.copy(interpretation=space).copy_memory()
        self.both = ink.bandjoin(alpha).copy(interpretation=space).copy_memory()
        self.x, self.y, self.width, self.height = job["x"], job["y"], image.width, image.height


def composite(image, mark):
    """As it is commonly written: the whole picture through `composite2`."""
    return flat(image.composite2(mark.both, "over", x=mark.x, y=mark.y), image)


def region(image, mark):
    """`composite2` on the part under the mark."""
    part = image.crop(mark.x, mark.y, mark.width, mark.height)
    return image.insert(flat(part.composite2(mark.both, "over"), image), mark.x, mark.y)


def blend(image, mark):
    """`ifthenelse` in whole numbers on the part under the mark."""
    part = image.crop(mark.x, mark.y, mark.width, mark.height)
    return image.insert(mark.mask.ifthenelse(mark.ink, part, blend=True), mark.x, mark.y)


def strip(image, mark):
    """Only the rows from the mark on go through `insert`; those above are joined."""
    top = min(mark.y // 16 * 16, image.height - 1)
    if top == 0:
        return region(image, mark)
    rest = image.crop(0, top, image.width, image.height - top)
    part = rest.crop(mark.x, mark.y - top, mark.width, mark.height)
    rest = rest.insert(flat(part.composite2(mark.both, "over"), image), mark.x, mark.y - top)
    return image.crop(0, 0, image.width, top).join(rest, "vertical")


def draw(image, mark):
    """The picture decoded into memory, the mark painted on it."""
    return image.draw_mask([255.0] * image.bands, mark.mask, mark.x, mark.y)


FORMS = {"composite": composite, "region": region, "blend": blend, "strip": strip, "draw": draw}


def save(image, kind, job, subsample, level):
    if kind == "png":
        # 8 is the "none" filter, which is the default; a fast level is faster still with "average".
        return image.pngsave_buffer(compression=level, filter=8 if level == 6 else 64)
    if kind == "webp":
        return image.webpsave_buffer(Q=job["quality"])
    return image.jpegsave_buffer(Q=job["quality"], subsample_mode=subsample)


def run(job, kept):
    name, _, level = job["form"].partition("-")
    if kept.get("input") != job["input"]:
        with open(job["input"], "rb") as file:
            data = file.read()
        head = pyvips.Image.new_from_buffer(data, "")
        fields = head.get_fields()
        loader = head.get("vips-loader") if "vips-loader" in fields else "jpegload"
        kind = next((kind for kind in ("png", "webp") if kind in loader), "jpeg")
        sampling = head.get("jpeg-chroma-subsample") if "jpeg-chroma-subsample" in fields else ""
        bands = head.bands - (1 if head.hasalpha() else 0)
        if bands not in (1, 3):
            raise ValueError(f"{bands} bands")
        # A picture that had full chroma keeps it; libvips' own choice would give it up below Q 90, and to all above.
        subsample = "off" if sampling in ("4:4:4", "") else "on"
        kept.clear()
        kept.update(input=job["input"], data=data, kind=kind, subsample=subsample, mark=Mark(job, bands))
    best, spent, output = None, 0.0, b""
    while best is None or spent < job["enough"]:
        before = time.process_time_ns()
        image = pyvips.Image.new_from_buffer(kept["data"], "", access="sequential")
        marked = FORMS[name](image, kept["mark"])
        output = save(marked, kept["kind"], job, kept["subsample"], int(level or 6))
        took = (time.process_time_ns() - before) / 1e6
        spent += took
        best = took if best is None else min(best, took)
    if job["output"]:
        with open(job["output"], "wb") as file:
            file.write(output)
    return {"millis": best, "bytes": len(output), "peak": peak(), "way": job["form"]}


# Or the second of two equal jobs would be answered from memory.
pyvips.cache_set_max(0)
version = ".".join(str(pyvips.version(part)) for part in range(3))
say({"version": f"libvips {version}", "base": peak(), "missing": None})
kept = {}
for line in sys.stdin:
    try:
        say({"done": run(json.loads(line), kept)})
    except Exception as error:
        say({"failed": f"{type(error).__name__}: {error}".strip()})

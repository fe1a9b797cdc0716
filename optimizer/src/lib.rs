//! The image service being balanced: draws a watermark.
//!
//! In: `POST /optimize` with the bytes of a JPEG, PNG or WebP as the body, or as the field `file` of
//! `multipart/form-data`. Out: the same picture with a mark, in the same format unless asked otherwise.
//! Cost: about 4 ms per megabyte of JPEG, which is spliced, 25 with a lower quality, 60 if it is progressive; one decode
//! and one encode for anything else; on one of a bounded number of workers.
//!
//! | query | meaning | default |
//! |---|---|---|
//! | `text` | what the mark says, up to 256 characters of the embedded font | `NWS` |
//! | `logo` | instead of `text`: a picture given at start, by its name | |
//! | `position` | `tl tc tr cl cc cr bl bc br`: top, centre, bottom; left, centre, right; or `tile` | `br` |
//! | `opacity` | 0 to 1, of the mark with outline and shadow; times the alpha of a logo | `0.5` |
//! | `size` | height of the text or the logo: a share of the width, or pixels as `24px`; a mark that would not fit is made to fit | `0.05` |
//! | `margin` | distance to the edges, and around each tile: a share of the width, or pixels | `0.02` |
//! | `color` | of the text, `rrggbb` | `ffffff` |
//! | `outline` | width of a line around it: a share of its height up to 0.5, or pixels as `2px` | `0`, none |
//! | `outline_color` | `rrggbb` | `000000` |
//! | `shadow` | how far a soft shadow falls to the lower right: a share of its height up to 0.5, or pixels | `0`, none |
//! | `shadow_color` | `rrggbb` | `000000` |
//! | `rotate` | degrees clockwise; the shadow does not turn | `0` |
//! | `format` | `jpeg`, `png`, `webp`; `auto` follows the `Accept` header | that of the input |
//! | `quality` | 1 to 100, for lossy formats; makes a lossless WebP lossy; a JPEG that stays one does not get finer than it was | about that of the input, for a WebP at most 80; else 85 for a JPEG, 80 for a WebP |
//! | `metadata` | `keep`, `strip`: EXIF data, with any small picture in it, which has no mark; comments and the like; a colour profile is kept anyway | `strip` |
//!
//! `X-Optimizer-Path` of an answer says how it was made, see [`kernel::Path`]; `Server-Timing`, in milliseconds, how long
//! it took: `read` until the body was there, `wait` for a worker and for memory, the stages of the kernel, and `work`, the
//! sum of the stages. `If-Match` and `If-None-Match` are answered before anything is decoded: `docs/adr/0009`.
//!
//! A process takes at most [`Options::kernel_memory`] + 2 × [`Options::body_memory`] + 64 KiB for each open connection +
//! 64 MiB: `docs/guide/optimizer-memory.md`.
//! `docs/guide/marks.md` shows the options in pictures.
//! Besides: `GET /healthz` (200, or 503 while draining) and `GET /metrics` (Prometheus text). A refusal is JSON,
//! `{"error": "a sentence", "reason": "a label"}`; the statuses are in [`Refusal::status_and_label`].
//!
//! [`kernel`] is the pure core, bytes and a [`plan::Plan`] in, bytes out; [`Optimizer`] is the HTTP shell around it.
//! Several [`Optimizer`]s live in one process without sharing anything but the processor.

pub mod kernel;
pub mod plan;
mod refusal;
mod shell;

pub use refusal::Refusal;
pub use shell::{Optimizer, Options};

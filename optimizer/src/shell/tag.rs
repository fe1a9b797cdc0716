//! Names an answer before it is made.
//!
//! In: the bytes of an image and what is asked for. Out: its strong entity tag. Cost: 0.1 ms per MiB.
//! The tag is a hash of all that decides the bytes of the answer, so every optimizer with this kernel gives the same one,
//! and nothing has to be decoded to know it.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::kernel::{CODEC_BACK_END, Format, KERNEL_VERSION};
use crate::plan::Plan;
use crate::refusal::Refusal;

/// Hashed without leaving the thread that answers: 0.1 ms.
const SHORT: usize = 1 << 20;

/// The tag of what `image` becomes under `plan`, written as `target`: 32 hexadecimal digits, without the quotes.
///
/// # Errors
/// [`Refusal::Internal`] when no thread can be had for a long image.
pub(super) async fn of(image: &Bytes, plan: &Plan, target: Format) -> Result<String, Refusal> {
    let mut hash = Xxh3::new();
    for part in [KERNEL_VERSION, CODEC_BACK_END] {
        hash.update(part.as_bytes());
        hash.update(&[0xff]);
    }
    hash.update(plan.normalised(target).as_bytes());
    // Ends the options, so that no byte of a text counts as one of the image.
    hash.update(&[0xff]);
    let (image, short) = (image.clone(), image.len() <= SHORT);
    let mut finish = move || {
        hash.update(&image);
        format!("{:032x}", hash.digest128())
    };
    if short {
        return Ok(finish());
    }
    let gone = |_| Refusal::Internal { why: "an image could not be hashed".to_owned() };
    tokio::task::spawn_blocking(finish).await.map_err(gone)
}

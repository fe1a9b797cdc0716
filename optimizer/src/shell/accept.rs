//! Chooses a format by the `Accept` header, for `format=auto`.
//!
//! In: the header and the format of the input. Out: a format. Cost: O(length of the header).
//! Source: RFC 9110, section 12.5.1, and one fact it does not know: a browser that takes WebP says so by name, and one
//! that does not still says `*/*`. So WebP must be named, and be wanted no less than the input's own format; and when nothing fits, the input's own format is sent, which
//! the RFC allows and an error would not improve.

use crate::kernel::{Format, Header};

/// The format to answer with.
pub(super) fn choose(accept: Option<&str>, input: &Header) -> Format {
    let Some(accept) = accept else { return input.format };
    let wanted = |webp: f32| webp > 0.0 && webp >= weight(accept, input.format);
    if named(accept, Format::WebP).is_some_and(wanted) && fits(Format::WebP, input) {
        return Format::WebP;
    }
    // Lossless input is better off as a PNG, lossy input as a JPEG.
    let second = if input.lossy { Format::Jpeg } else { Format::Png };
    let third = if input.lossy { Format::Png } else { Format::Jpeg };
    let taken = |format: &Format| weight(accept, *format) > 0.0 && fits(*format, input);
    [input.format, second, third].into_iter().find(taken).unwrap_or(input.format)
}

fn fits(format: Format, input: &Header) -> bool {
    input.width.max(input.height) <= format.longest_side()
}

/// Weight of a format, 0 to 1: by its name, else by `image/*`, else by `*/*`, else 0.
fn weight(accept: &str, format: Format) -> f32 {
    let by = |range: &str| ranges(accept).find(|(name, _)| name.eq_ignore_ascii_case(range)).map(|(_, weight)| weight);
    named(accept, format).or_else(|| by("image/*")).or_else(|| by("*/*")).unwrap_or(0.0)
}

fn named(accept: &str, format: Format) -> Option<f32> {
    let own = format.media_type();
    ranges(accept).find(|(name, _)| name.eq_ignore_ascii_case(own)).map(|(_, weight)| weight)
}

/// Media ranges and weights; a weight that cannot be read is 1, as if it were not there.
fn ranges(accept: &str) -> impl Iterator<Item = (&str, f32)> {
    accept.split(',').map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, weight.and_then(|weight| weight.parse().ok()).unwrap_or(1.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(format: Format) -> Header {
        Header { format, width: 10, height: 10, lossy: format != Format::Png, quality: None, pixel: 4, stored: None }
    }

    #[test]
    fn webp_is_chosen_only_when_it_is_named() {
        let chrome = "image/avif,image/webp,image/apng,image/*,*/*;q=0.8";
        assert_eq!(choose(Some(chrome), &input(Format::Jpeg)), Format::WebP);
        assert_eq!(choose(Some("image/*,*/*;q=0.8"), &input(Format::Jpeg)), Format::Jpeg);
        assert_eq!(choose(Some("image/webp;q=0, */*"), &input(Format::Png)), Format::Png);
    }

    #[test]
    fn webp_is_not_chosen_when_the_format_of_the_input_is_wanted_more() {
        for (accept, format) in [
            ("image/webp;q=0.1, image/jpeg", Format::Jpeg),
            ("image/webp;q=0.5, image/*;q=0.6", Format::Jpeg),
            ("image/webp;q=0.1, image/png", Format::WebP),
            ("image/webp;q=0.5, image/jpeg;q=0.5", Format::WebP),
            ("image/webp, image/jpeg;q=0.9, */*;q=0.8", Format::WebP),
        ] {
            assert_eq!(choose(Some(accept), &input(Format::Jpeg)), format, "{accept}");
        }
    }

    #[test]
    fn an_input_the_client_does_not_take_becomes_the_next_best_it_takes() {
        assert_eq!(choose(Some("image/jpeg, image/png"), &input(Format::WebP)), Format::Jpeg);
        assert_eq!(choose(Some("IMAGE/JPEG"), &input(Format::Png)), Format::Jpeg);
    }

    #[test]
    fn without_a_header_or_without_a_match_the_input_keeps_its_format() {
        assert_eq!(choose(None, &input(Format::Png)), Format::Png);
        assert_eq!(choose(Some("text/html"), &input(Format::WebP)), Format::WebP);
    }
}

//! The live page: files that are part of the binary, and ask nobody else for anything.
//!
//! In: a path. Out: the file. Cost: some 35 KiB in all, once for a visit.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Path, type, text.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/page/rates.js", "text/javascript; charset=utf-8", include_str!("page/rates.js")),
    ("/page/state.js", "text/javascript; charset=utf-8", include_str!("page/state.js")),
    ("/page/dialogs.js", "text/javascript; charset=utf-8", include_str!("page/dialogs.js")),
    ("/page/stream.js", "text/javascript; charset=utf-8", include_str!("page/stream.js")),
    ("/page/view.js", "text/javascript; charset=utf-8", include_str!("page/view.js")),
];

/// Nothing from elsewhere is loaded, asked or run, and no other page may show this one under a button of its own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const FIELDS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    // The next weir has other files.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Adds the files of the page.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    FILES
        .into_iter()
        .fold(router, |router, (path, kind, text)| router.route(path, get(move || async move { file(kind, text) })))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let mut answer = ([(header::CONTENT_TYPE, kind)], text).into_response();
    for (name, value) in FIELDS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_names_nobody_else() {
        assert!(FILES.iter().map(|(_, _, text)| text.len()).sum::<usize>() <= 150 * 1024);
        for (path, _, text) in FILES {
            // The name of SVG's elements is no address.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("://") && !text.contains("src=\"//"), "{path}");
        }
    }

    /// How far apart two colours are, as WCAG 2 reckons it: 1 to 21.
    fn contrast(one: &str, other: &str) -> f64 {
        let light = |colour: &str| {
            let digits = colour.trim_start_matches('#');
            let number = u32::from_str_radix(digits, 16).unwrap();
            // `#fff` is short for `#ffffff`.
            let (width, factor) = if digits.len() == 6 { (8, 1) } else { (4, 17) };
            let part = |index: u32| {
                let level = (number >> (width * (2 - index)) & ((1 << width) - 1)) * factor;
                let value = f64::from(level) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2)
        };
        let (one, other) = (light(one) + 0.05, light(other) + 0.05);
        (one / other).max(other / one)
    }

    #[test]
    fn every_text_can_be_read_by_day_and_by_night() {
        let (_, _, style) = FILES[1];
        let palettes: Vec<_> = style.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(palettes.len(), 2);
        for palette in palettes {
            let colour = |name: &str| {
                let found = palette.split(';').filter_map(|line| line.trim().split_once(": "));
                found.filter(|(key, _)| *key == name).map(|(_, value)| value).next().unwrap()
            };
            for text in ["--text", "--soft", "--accent", "--good", "--warn", "--bad"] {
                for back in ["--back", "--card"] {
                    let found = contrast(colour(text), colour(back));
                    assert!(found >= 4.5, "{text} on {back}: {found:.2} in {palette}");
                }
            }
            assert!(contrast(colour("--on-accent"), colour("--accent")) >= 4.5, "{palette}");
        }
    }

    #[test]
    fn what_the_page_asks_for_is_there() {
        let all = FILES.map(|(_, _, text)| text).join("\n");
        let asked = all.split('"').filter_map(|text| text.strip_prefix("/page/").or_else(|| text.strip_prefix("./")));
        let asked: Vec<_> = asked.filter(|name| !name.contains(char::is_whitespace)).collect();
        assert!(asked.len() >= 5, "{asked:?}");
        for name in asked {
            assert!(FILES.iter().any(|(path, _, _)| path.ends_with(&format!("/{name}"))), "{name}");
        }
    }
}

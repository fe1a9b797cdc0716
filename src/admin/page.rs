//! The live page: files that are part of the binary, and ask nobody else for anything.
//!
//! In: a path. Out: the file. Cost: some 25 KiB in all, once for a visit.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Path, type, text.
const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/page/rates.js", "text/javascript; charset=utf-8", include_str!("page/rates.js")),
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

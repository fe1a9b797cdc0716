//! What the query may say.

use weir_optimizer::kernel::{Format, Kernel};
use weir_optimizer::plan::{Color, Content, Edge, Extent, FormatAsk, Metadata, OptionError, Plan, Position};

fn plan(query: &str) -> Result<Plan, OptionError> {
    Kernel::new().unwrap().plan(query)
}

/// The text of a plan and its colour.
fn written(plan: &Plan) -> (&str, [u8; 3]) {
    match &plan.mark.content {
        Content::Text { text, color } => (text.as_str(), color.0),
        Content::Logo(_) => ("", [0; 3]),
    }
}

#[test]
fn without_a_query_the_mark_is_nws_half_white_at_the_bottom_right() {
    let plan = plan("").unwrap();
    assert_eq!(written(&plan), ("NWS", [255; 3]));
    assert_eq!(plan.mark.position, Position::BottomRight);
    assert_eq!(plan.mark.opacity.of_255(), 128);
    assert_eq!((plan.mark.outline, plan.mark.shadow), (None, None));
    assert_eq!((plan.mark.size, plan.mark.margin), (Extent::Share(0.05), Extent::Share(0.02)));
    assert_eq!((plan.format, plan.quality), (FormatAsk::Keep, None));
    assert_eq!(plan.metadata, Metadata::Strip);
}

#[test]
fn every_option_is_read() {
    let query = "text=%C2%A9+Me&position=tile&opacity=1&size=24px&margin=0&color=FF8000&rotate=-30&format=auto&quality=7&metadata=keep&outline=2px&outline_color=123456&shadow=.1";
    let plan = plan(query).unwrap();
    assert_eq!(written(&plan), ("© Me", [255, 128, 0]));
    assert_eq!(plan.mark.position, Position::Tile);
    assert_eq!(plan.mark.opacity.of_255(), 255);
    assert_eq!((plan.mark.size, plan.mark.margin), (Extent::Pixels(24), Extent::Share(0.0)));
    let edge = |extent, color| Some(Edge { extent, color: Color(color) });
    assert_eq!(plan.mark.outline, edge(Extent::Pixels(2), [0x12, 0x34, 0x56]));
    assert_eq!(plan.mark.shadow, edge(Extent::Share(0.1), [0; 3]));
    assert_eq!((plan.format, plan.quality.unwrap().get()), (FormatAsk::Auto, 7));
    assert_eq!(plan.metadata, Metadata::Keep);
}

#[test]
fn a_bad_value_is_refused_by_the_name_of_its_key_and_with_what_to_write() {
    let bad = [
        ("text", ""),
        ("text", "%20"),
        ("text", "a%0Ab"),
        ("text", "%E5%AD%97"),
        ("position", "bottom"),
        ("position", "BR"),
        ("opacity", "-0.1"),
        ("opacity", "1.01"),
        ("opacity", "50%25"),
        ("opacity", "NaN"),
        ("size", "0"),
        ("size", "0px"),
        ("size", "1.5"),
        ("size", "12pt"),
        ("size", "px"),
        ("size", "1e-2"),
        ("margin", "0.6"),
        ("margin", "-1px"),
        ("margin", "99999px"),
        ("color", "%23ffffff"),
        ("color", "fff"),
        ("color", "gggggg"),
        ("color", "%2Bfffff"),
        ("outline", "0.51"),
        ("outline", "-1"),
        ("outline", "thick"),
        ("outline", ""),
        ("shadow", "2"),
        ("shadow", "1em"),
        ("logo", "shop"),
        ("rotate", "361"),
        ("rotate", "left"),
        ("format", "gif"),
        ("format", "JPEG"),
        ("quality", "0"),
        ("quality", "101"),
        ("quality", "+5"),
        ("quality", ""),
        ("metadata", "all"),
    ];
    for (key, value) in bad {
        let error = plan(&format!("{key}={value}")).unwrap_err();
        assert!(matches!(error, OptionError::Value { key: named, .. } if named == key), "{key}={value}: {error}");
        assert!(
            error.to_string().starts_with(&format!("`{key}` is `")) && error.to_string().contains("write "),
            "{error}"
        );
    }
    let long = format!("text={}", "x".repeat(257));
    assert!(matches!(plan(&long), Err(OptionError::Value { key: "text", .. })));
}

#[test]
fn an_unknown_a_repeated_and_an_undecodable_option_are_refused() {
    assert_eq!(plan("opacty=1"), Err(OptionError::Unknown { key: "opacty".into() }));
    assert_eq!(plan("size=1&size=1"), Err(OptionError::Twice { key: "size" }));
    assert_eq!(plan("text=%zz"), Err(OptionError::Encoding { part: "text=%zz".into() }));
}

#[test]
fn queries_that_mean_the_same_have_one_normalised_form() {
    let form = |query| plan(query).unwrap().normalised(Format::Jpeg);
    assert_eq!(form(""), form("text=NWS&opacity=0.50&size=.05&rotate=-360&color=FFFFFF"));
    assert_eq!(form("rotate=-90&text=a+b"), form("text=a%20b&rotate=270"));
    assert_ne!(form("quality=80"), form(""));
    assert_ne!(form("metadata=keep"), form(""));
    assert_ne!(form("size=1px"), form("size=1"));
    assert_ne!(plan("").unwrap().normalised(Format::Png), form(""));
}

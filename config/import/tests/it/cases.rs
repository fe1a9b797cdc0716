//! Each configuration of the corpus: the whole result, and that weir accepts it.

use crate::support::{corpus, folder, legal, notes, of_corpus, ok};

#[test]
fn each_configuration_becomes_what_its_snapshot_says_and_weir_accepts_it() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let all = corpus();
    assert!(all.len() >= 18, "{all:?}");
    settings.bind(|| {
        for path in all {
            let imported = of_corpus(&path);
            legal(&imported.toml);
            let name = path.with_extension("").display().to_string().replace('/', "_");
            insta::assert_snapshot!(name, format!("{}\n{}", notes(&imported), imported.toml));
        }
    });
}

#[test]
fn the_example_in_the_guide_is_what_comes_out() {
    let guide = folder().join("../../../../docs/guide/from-nginx.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let block = |language: &str| {
        let begin = format!("```{language}\n");
        guide.split_once(&begin).unwrap().1.split_once("```").unwrap().0.to_owned()
    };
    let imported = ok(&block("nginx"));
    let (head, tables) = imported.toml.split_once("\n\n").unwrap();
    assert_eq!((head.lines().count(), tables), (2, &*block("toml")));
}

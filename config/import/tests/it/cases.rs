//! Each configuration of the corpus: the whole result, and that weir accepts it.

use crate::support::{corpus, legal, notes, of_corpus};

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

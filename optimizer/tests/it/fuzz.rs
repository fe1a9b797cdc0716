//! The fuzz targets, over their seeds and changes of them that are the same in every run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use weir_optimizer::kernel::Path;

use super::dice::Dice;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, dead_code, reason = "it is the library of another crate")]
mod targets;

/// The seeds in a folder, in the order of their names.
fn seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap());
    let mut files: Vec<_> = files.map(named).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// One to four changes of `file`, some of them with parts of `other`.
fn changed(file: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(file.len().max(1)).min(file.len());
        let end = (at + 1 + dice.roll(16)).min(file.len());
        match dice.roll(6) {
            0 => file.truncate(at.max(4)),
            1 => drop(file.drain(at..end)),
            2 => file.splice(at..end, (0..4).map(|_| [0x00, 0xff, 0x01, 0xd9][dice.roll(4)])).for_each(drop),
            3 => {
                let from = dice.roll(other.len());
                let piece = other[from..].iter().take(1 + dice.roll(64)).copied();
                file.splice(at..end, piece).for_each(drop);
            }
            4 if at < file.len() => file[at] ^= 1 << dice.roll(8),
            _ if at < file.len() => file[at] = dice.byte(),
            _ => {}
        }
    }
    file
}

#[test]
fn the_seeds_reach_every_path_and_keep_what_the_targets_ask_for() {
    let mut paths = BTreeMap::<&str, u32>::new();
    let mut count = |path: Option<Path>| *paths.entry(path.map_or("refused", Path::name)).or_default() += 1;
    for (_, seed) in seeds("jpeg") {
        targets::header(&seed);
        count(targets::splice(&seed));
        count(targets::transcode(&seed));
        count(targets::coefficients(&seed));
        count(targets::optimize(&seed));
    }
    for (_, seed) in [seeds("other"), seeds("query")].concat() {
        targets::header(&seed);
        count(targets::optimize(&seed));
    }
    assert!(Path::ALL.iter().all(|path| paths.contains_key(path.name())), "{paths:?}");
    assert!(!paths.contains_key("refused"), "{paths:?}");
}

#[test]
fn what_a_target_found_once_is_not_found_again() {
    for (_, file) in seeds("found") {
        targets::header(&file);
        targets::splice(&file);
        targets::transcode(&file);
        targets::coefficients(&file);
        targets::optimize(&file);
    }
}

#[test]
fn thousands_of_changed_seeds_keep_it_too() {
    let mut dice = Dice::new(0x6a09_e667_f3bc_c908);
    let (jpeg, other, query) = (seeds("jpeg"), seeds("other"), seeds("query"));
    let all = [&jpeg[..], &other, &query].concat();
    let (mut made, mut refused) = (0, 0);
    for (_, seed) in &all {
        for _ in 0..150 {
            let file = changed(seed, &all[dice.roll(all.len())].1, &mut dice);
            targets::header(&file);
            let made_of = [
                targets::splice(&file),
                targets::transcode(&file),
                targets::coefficients(&file),
                targets::optimize(&file),
            ];
            if made_of.iter().any(Option::is_some) { made += 1 } else { refused += 1 }
        }
    }
    assert!(made > 300 && refused > 300, "{made} made and {refused} refused");
}

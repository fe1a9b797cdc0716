//! JPEGs of several scans, and JPEGs in coarser steps: marked without a pixel.

use weir_optimizer::kernel::Path;

use super::fixture::{self, decoded, detail, label, run};
use super::splice::{Tools, psnr};

/// A file for `jpegtran -scans`.
fn script(name: &str, scans: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.scans", std::process::id()));
    std::fs::write(&path, scans).unwrap();
    format!("-scans {}", path.display())
}

/// Ways to code a colour picture in several scans.
fn ways() -> Vec<String> {
    // Bands and bits in unusual numbers and order.
    let fine =
        "0,1,2: 0-0, 0, 2; 0: 1-2, 0, 3; 2: 1-63, 0, 1; 1: 1-5, 0, 2; 0: 3-63, 0, 2; 0: 1-2, 3, 2; 1: 6-63, 0, 0;
        0,1,2: 0-0, 2, 1; 1: 1-5, 2, 1; 0: 1-63, 2, 1; 0: 1-63, 1, 0; 0,1,2: 0-0, 1, 0; 2: 1-63, 1, 0; 1: 1-5, 1, 0;";
    let apart = "0: 0-0, 0, 1; 1: 0-0, 0, 0; 2: 0-0, 0, 0; 0: 0-0, 1, 0; 0: 1-63, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0;";
    vec![
        "-progressive".to_owned(),
        "-progressive -restart 1".to_owned(),
        "-progressive -restart 3B".to_owned(),
        script("fine", fine),
        script("apart", apart),
        format!("{} -restart 2B", script("fine_restarts", fine)),
        script("sequential", "0; 1; 2;"),
        script("sequential_pair", "0; 1, 2;"),
        format!("{} -restart 5B", script("sequential_restarts", "1; 0, 2;")),
    ]
}

#[test]
fn a_file_of_several_scans_shows_what_the_same_file_of_one_scan_shows() {
    let Some(tools) = Tools::find() else { return };
    let ways = ways();
    for sampling in ["1x1", "2x1", "1x2", "2x2", "4x1", "2x2,2x1,1x1", "1x4"] {
        let one = tools.write(&detail(237, 155), &format!("-quality 85 -sample {sampling}"));
        for way in &ways {
            let file = tools.recode(&one, way);
            for query in ["opacity=0.7&size=0.2&color=ff3000", "position=tile&size=0.1"] {
                let wanted = run(&one, query).unwrap();
                assert!(matches!(wanted.path, Path::Splice | Path::Transcode), "{sampling} {query}");
                let found = run(&file, query).unwrap();
                assert_eq!(found.path, Path::Coefficients, "{sampling} {way}");
                let (found, wanted) = (found.to_vec(), wanted.to_vec());
                assert!(tools.shown(&found) == tools.shown(&wanted), "{sampling} {way} {query}");
                // Tables made for the file: no larger than with tables made by somebody else.
                let other = tools.recode(&wanted, "-optimize -restart 0");
                assert!(found.len() <= other.len() + 64, "{sampling} {way}: {} to {}", found.len(), other.len());
            }
        }
    }
}

#[test]
fn a_grey_file_of_several_scans_is_marked_whatever_its_factors() {
    let Some(tools) = Tools::find() else { return };
    for (width, height) in [(120, 77), (8, 8), (1, 1), (17, 1), (1, 33)] {
        let one = tools.write(&detail(width, height), "-quality 90 -grayscale");
        for way in ["-progressive", "-progressive -restart 1B"] {
            let file = tools.recode(&one, way);
            let found = run(&file, "opacity=1").unwrap();
            assert_eq!(found.path, Path::Coefficients);
            assert!(tools.shown(&found.to_vec()) == tools.shown(&fixture::optimize(&one, "opacity=1").unwrap()));
        }
    }
}

#[test]
fn without_a_mark_every_pixel_of_a_progressive_file_stays() {
    let Some(tools) = Tools::find() else { return };
    for file in [fixture::PROGRESSIVE, fixture::PROGRESSIVE_RESTARTS, fixture::SEPARATE_SCANS] {
        let found = run(file, "opacity=0").unwrap();
        assert_eq!(found.path, Path::Coefficients);
        assert!(tools.shown(&found.to_vec()) == tools.shown(file));
    }
}

#[test]
fn a_lower_quality_gives_a_smaller_file_and_one_above_the_own_changes_nothing() {
    let Some(tools) = Tools::find() else { return };
    for way in ["-sample 2x2", "-sample 1x1 -restart 3B", "-grayscale", "-sample 2x1 -progressive"] {
        let file = tools.write(&detail(300, 200), &format!("-quality 90 {way}"));
        let mut before = usize::MAX;
        for quality in [100, 90, 85, 75, 60, 50, 40, 25, 10, 1] {
            let found = run(&file, &format!("quality={quality}&size=0.1")).unwrap();
            tools.check(&found.to_vec(), way);
            let same = quality >= 90;
            assert_eq!(found.path == Path::Requantise, !same, "{way} {quality}: {:?}", found.path);
            assert!(found.len() < before || same && found.len() <= before, "{way} {quality}");
            before = found.len();
            if same {
                assert!(found.to_vec() == fixture::optimize(&file, "size=0.1").unwrap(), "{way} {quality}");
                let plain = fixture::optimize(&file, &format!("quality={quality}&opacity=0")).unwrap();
                assert!(tools.shown(&plain) == tools.shown(&file), "{way} {quality}");
            }
        }
    }
}

#[test]
fn other_steps_show_as_much_as_decoding_and_encoding_at_the_same_quality() {
    let Some(tools) = Tools::find() else { return };
    let photo = detail(320, 240);
    for sampling in ["1x1", "2x2"] {
        let file = tools.write(&photo, &format!("-quality 95 -sample {sampling}"));
        let shown = decoded(&file);
        for quality in [90, 85, 75, 50, 30] {
            let found = fixture::optimize(&file, &format!("quality={quality}&opacity=0")).unwrap();
            let again = tools.write(&shown, &format!("-quality {quality} -sample {sampling}"));
            let (found, again) = (psnr(&decoded(&found), &shown), psnr(&decoded(&again), &shown));
            assert!(found > again - 0.3, "{sampling} at {quality}: {found:.2} dB, encoded again {again:.2}");
        }
    }
}

/// The bodies of the quantisation tables of a file.
fn steps(file: &[u8]) -> Vec<&[u8]> {
    let tables = (0..file.len() - 69).filter(|at| file[*at..].starts_with(&[0xff, 0xdb, 0, 67]));
    tables.map(|at| &file[at + 5..at + 69]).collect()
}

#[test]
fn the_steps_are_those_of_libjpeg_at_that_quality_or_the_own_where_those_are_coarser() {
    let Some(tools) = Tools::find() else { return };
    let photo = detail(64, 48);
    for own in [98, 80] {
        for way in ["-baseline", "-progressive"] {
            let file = tools.write(&photo, &format!("-quality {own} {way}"));
            let before = steps(&file);
            for quality in [10, 30, 49, 50, 51, 75, 90, 100] {
                let found = fixture::optimize(&file, &format!("quality={quality}")).unwrap();
                let standard = tools.write(&photo, &format!("-quality {quality} -baseline"));
                let wanted: Vec<Vec<u8>> = before
                    .iter()
                    .zip(steps(&standard))
                    .map(|(own, standard)| own.iter().zip(standard).map(|(own, standard)| *own.max(standard)).collect())
                    .collect();
                assert_eq!(steps(&found), wanted, "{way}, {own} to {quality}");
            }
        }
    }
}

#[test]
fn both_ways_to_other_steps_show_the_same() {
    let Some(tools) = Tools::find() else { return };
    for sampling in ["1x1", "2x2", "1x2"] {
        let one = tools.write(&detail(200, 123), &format!("-quality 92 -sample {sampling}"));
        for way in ["-progressive", "-progressive -restart 2"] {
            let several = tools.recode(&one, way);
            for query in ["quality=70&size=0.2", "quality=40&position=tile"] {
                let found = [&one, &several].map(|file| tools.shown(&fixture::optimize(file, query).unwrap()));
                assert!(found[0] == found[1], "{sampling} {way} {query}");
            }
        }
    }
}

#[test]
fn a_progressive_file_cut_at_any_byte_or_with_any_byte_changed_gets_an_answer() {
    let Some(tools) = Tools::find() else { return };
    let one = tools.write(&detail(96, 80), "-quality 80 -sample 2x2");
    let mut dice: u64 = 0x0123_4567_89ab_cdef;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % sides as u64).unwrap()
    };
    let mut answers = std::collections::BTreeMap::<&str, u32>::new();
    for way in ways() {
        let file = tools.recode(&one, &way);
        for end in (16..file.len()).step_by(97) {
            assert_eq!(label(&file[..end]), "truncated", "{way} at {end}");
        }
        for _ in 0..300 {
            let mut broken = file.clone();
            let at = roll(file.len());
            broken[at] = u8::try_from(roll(256)).unwrap();
            *answers.entry(label(&broken)).or_default() += 1;
        }
    }
    assert!(!answers.contains_key("internal") && !answers.contains_key("decoder_panicked"), "{answers:?}");
    assert!(answers["ok"] > 100 && answers["corrupt"] > 100, "{answers:?}");
}

#[test]
fn a_file_of_ten_thousand_scans_is_refused_before_they_are_read() {
    let file = fixture::PROGRESSIVE;
    let end = file.len() - 2;
    // The last scan again and again: its bits came before.
    let last = (0..end).rev().find(|at| file[*at..].starts_with(b"\xff\xda")).unwrap();
    let more = [&file[..end], &file[last..end].repeat(10_000), &file[end..]].concat();
    assert_eq!(label(&more), "corrupt");
    // Ten thousand empty scans of a claim of 64 megapixels: there is no data for the first.
    let claims = fixture::claiming(&more, 8_000, 8_000);
    assert!(matches!(label(&claims), "truncated" | "corrupt"));
}

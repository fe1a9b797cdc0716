//! `weir demo`, as a stranger meets it.

use std::process::Command;

use weir_testkit::{PATIENCE, Process, Raw, Signal, require};

use crate::support::{WEIR, photo, post};

#[test]
fn the_demo_marks_a_photo_and_prints_commands_that_work() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(WEIR);
    command.args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--optimizers", "2"]);
    // Not the project's root: the commands must work where they are printed.
    command.current_dir(folder.path());
    let mut demo = Process::spawn(command);
    let address = demo.wait_for_line("listening on http://").parse().unwrap();
    let admin = demo.wait_for_line("admin on http://");
    let mut names = Vec::new();
    for _ in 0..6 {
        let answer = Raw::ask(address, post("/optimize?text=NWS&position=br", &photo()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let (before, after) = (image::load_from_memory(&photo()).unwrap(), image::load_from_memory(&answer.body.kept));
        let after = after.unwrap();
        assert_eq!((before.width(), before.height()), (after.width(), after.height()));
        assert!(differ_at_the_bottom_right(&before.to_rgb8(), &after.to_rgb8()), "the mark is there");
        names.push(answer.field("x-optimizer").unwrap().to_owned());
    }
    names.sort();
    names.dedup();
    assert!(names.iter().all(|name| ["optimizer-1", "optimizer-2"].contains(&name.as_str())), "{names:?}");

    // The three commands name the addresses that were really taken.
    demo.wait_for_line("the first saves");
    let said = demo.output();
    assert_eq!(said.matches(&format!("'http://{address}/optimize?")).count(), 2, "{said}");
    assert!(said.contains(&format!("curl -sS http://{admin}/metrics")), "{said}");
    if require("curl").is_some() {
        for command in said.lines().filter(|line| line.trim_start().starts_with("curl ")) {
            let output = Command::new("sh").args(["-c", command]).current_dir(folder.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{command}: {output:?}");
            assert!(command.contains("-o marked.jpg") || !output.stdout.is_empty(), "{command}");
        }
        assert!(image::open(folder.path().join("marked.jpg")).is_ok());
    }
    demo.signal(Signal::INT);
    assert_eq!(demo.wait(PATIENCE).code(), Some(0));
}

/// Whether the pictures differ by more than compression in the last quarter, and only there.
fn differ_at_the_bottom_right(one: &image::RgbImage, other: &image::RgbImage) -> bool {
    let (width, height) = one.dimensions();
    let differing = |left: u32, top: u32| {
        let region = (top..top + height / 2).flat_map(|y| (left..left + width / 2).map(move |x| (x, y)));
        region
            .flat_map(|(x, y)| one.get_pixel(x, y).0.into_iter().zip(other.get_pixel(x, y).0))
            .filter(|(one, other)| one.abs_diff(*other) > 40)
            .count()
    };
    differing(width / 2, height / 2) > 100 && differing(0, 0) < 10
}

//! Marks of every kind on every path, held against a drawing made here in the plainest code there is.
//!
//! The reference takes the shape of a mark from the kernel once, drawn at full opacity on black and on white PNGs as large as
//! the picture is for the viewer; it then mixes pixel by pixel, in RGB, what the picture shows.

use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage, codecs::jpeg};
use weir_optimizer::kernel::{Format, Kernel, Path};

use super::fixture::{self, decoded, detail, encoded, logos, run, run_with};
use super::picture::{NINE, as_seen, changed};
use super::splice::{Tools, psnr};

/// What a mark is on a picture of these sides: its colour and how much of each pixel it covers, 0 to 1.
struct Reference {
    width: u32,
    pixels: Vec<([f64; 3], f64)>,
}

impl Reference {
    fn of(kernel: &Kernel, query: &str, (width, height): (u32, u32)) -> Self {
        let on = |ground: u8| {
            let plain = RgbImage::from_pixel(width, height, Rgb([ground; 3]));
            let file = encoded(&plain.into(), ImageFormat::Png);
            decoded(&run_with(kernel, &file, &format!("{query}&opacity=1")).unwrap().to_vec()).to_rgb8()
        };
        let (black, white) = (on(0), on(255));
        // On black a mark shows its colour times its cover, on white what it leaves besides.
        let pixel = |(black, white): (&Rgb<u8>, &Rgb<u8>)| {
            let left: f64 = white.0.iter().zip(black.0).map(|(w, b)| f64::from(*w) - f64::from(b)).sum();
            let cover = 1.0 - left / 765.0;
            (black.0.map(|sample| if cover > 0.0 { f64::from(sample) / cover } else { 0.0 }), cover)
        };
        Self { width, pixels: black.pixels().zip(white.pixels()).map(pixel).collect() }
    }

    fn at(&self, x: u32, y: u32) -> ([f64; 3], f64) {
        self.pixels[(y * self.width + x) as usize]
    }

    /// The mark on what a picture shows.
    fn drawn(&self, before: &DynamicImage, opacity: f64) -> RgbImage {
        let mut after = before.to_rgb8();
        for (x, y, pixel) in after.enumerate_pixels_mut() {
            let (color, cover) = self.at(x, y);
            let share = cover * opacity;
            for (sample, ink) in pixel.0.iter_mut().zip(color) {
                let mixed = f64::from(*sample) * (1.0 - share) + ink * share;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
                let mixed = mixed.round() as u8;
                *sample = mixed;
            }
        }
        after
    }

    /// Left, top, right, bottom of the ink, the latter two just outside.
    fn bounds(&self) -> [u32; 4] {
        let height = u32::try_from(self.pixels.len()).unwrap() / self.width;
        let inked =
            || (0..height).flat_map(|y| (0..self.width).map(move |x| (x, y))).filter(|(x, y)| self.at(*x, *y).1 > 0.0);
        let (left, right) = (inked().map(|(x, _)| x).min().unwrap(), inked().map(|(x, _)| x).max().unwrap());
        let (top, bottom) = (inked().map(|(_, y)| y).min().unwrap(), inked().map(|(_, y)| y).max().unwrap());
        [left, top, right + 1, bottom + 1]
    }
}

/// A JPEG that a viewer, who follows its tag, sees as `upright`.
fn turned(upright: &DynamicImage, orientation: u8) -> Vec<u8> {
    let undo = match orientation {
        6 => Orientation::Rotate270,
        8 => Orientation::Rotate90,
        other => Orientation::from_exif(other).unwrap(),
    };
    let mut stored = upright.clone();
    stored.apply_orientation(undo);
    let mut file = Vec::new();
    stored.write_with_encoder(jpeg::JpegEncoder::new_with_quality(&mut file, 92)).unwrap();
    fixture::with_orientation(&file, orientation)
}

fn cut(picture: &DynamicImage, [left, top, right, bottom]: [u32; 4]) -> DynamicImage {
    picture.crop_imm(left, top, right - left, bottom - top)
}

/// Holds one answer against the reference. Inside the box of the mark it is `least` decibels or better; on paths that
/// keep the rest no pixel further than a unit from the box differs.
fn hold(kernel: &Kernel, file: &[u8], query: &str, opacity: f64, least: f64) -> Path {
    let before = as_seen(file);
    let reference = Reference::of(kernel, query, before.dimensions());
    let output = run_with(kernel, file, &format!("{query}&opacity={opacity}")).unwrap();
    let after = as_seen(&output.to_vec());
    let wanted = DynamicImage::from(reference.drawn(&before, opacity));
    let [left, top, right, bottom] = reference.bounds();
    let found = psnr(&cut(&after, [left, top, right, bottom]), &cut(&wanted, [left, top, right, bottom]));
    assert!(found >= least, "{query} {:?}: {found:.1} dB", output.path);
    if output.path != Path::Rgb
        && let Some([l, t, r, b]) = changed(&before, &after)
    {
        // A unit is at most 16 pixels, and decoders that smooth chroma reach one or two further.
        let near = l + 18 >= left && t + 18 >= top && r < right + 18 && b < bottom + 18;
        assert!(near, "{query}: {l} {t} {r} {b} changed, the mark is in {left} {top} {right} {bottom}");
    }
    output.path
}

#[test]
fn eight_orientations_times_nine_positions_of_text_and_logo_are_those_of_the_reference() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    let upright = detail(230, 122);
    for orientation in 1..=8 {
        let file = turned(&upright, orientation);
        for position in NINE {
            for what in ["text=R4&size=0.12&outline=0.06", "logo=badge&size=31px"] {
                let query = format!("{what}&position={position}&margin=9px");
                assert_eq!(hold(&kernel, &file, &query, 0.8, 28.0), Path::Splice, "{orientation} {query}");
            }
        }
    }
}

#[test]
fn every_path_draws_what_the_reference_draws() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    let mut seen = Vec::new();
    for (file, least) in [
        (fixture::PHOTO.to_vec(), 26.0),
        (fixture::RESTARTS.to_vec(), 24.0),
        (fixture::PROGRESSIVE.to_vec(), 24.0),
        (fixture::OPTIMISED.to_vec(), 24.0),
        (turned(&detail(211, 133), 8), 24.0),
    ] {
        for query in ["text=Ag&size=0.2&shadow=0.08&outline=2px", "logo=badge&size=0.2&shadow=0.1", "position=tile"] {
            seen.push(hold(&kernel, &file, query, 0.7, least));
        }
    }
    let png = encoded(&detail(150, 90), ImageFormat::Png);
    for query in
        ["text=Ag&size=0.2&shadow=0.08&outline=2px", "logo=badge&size=0.2&rotate=20", "logo=badge&position=tile"]
    {
        let wanted = Reference::of(&kernel, query, (150, 90)).drawn(&decoded(&png), 0.7);
        let found = decoded(&run_with(&kernel, &png, &format!("{query}&opacity=0.7")).unwrap().to_vec());
        assert!(psnr(&found, &wanted.into()) > 48.0, "{query}");
    }
    assert!([Path::Splice, Path::Transcode, Path::Coefficients].iter().all(|path| seen.contains(path)), "{seen:?}");
}

#[test]
fn a_decoder_that_takes_warnings_for_errors_reads_logos_outlines_and_shadows_on_every_path() {
    let Some(tools) = Tools::find() else { return };
    let kernel = Kernel::with_logos(logos()).unwrap();
    for file in [fixture::PHOTO, fixture::RESTARTS, fixture::OPTIMISED, fixture::PROGRESSIVE, fixture::GREY] {
        for query in ["logo=badge&size=0.3", "logo=grey&position=tile", "outline=0.1&shadow=0.1&size=0.2&opacity=1"] {
            tools.check(&run_with(&kernel, file, query).unwrap().to_vec(), query);
        }
    }
}

#[test]
fn rotation_margins_tiles_and_sizes_beyond_the_picture_are_those_of_the_reference() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    for orientation in [1, 3, 6, 7] {
        let file = turned(&detail(201, 143), orientation);
        for query in [
            "logo=badge&size=0.2&rotate=90",
            "logo=badge&size=0.2&rotate=33&position=cc",
            "text=turn&size=20px&rotate=-45&outline=0.08&outline_color=2040c0&shadow=3px",
            "logo=badge&size=1&margin=11px&position=tl",
            "logo=badge&size=900px&margin=0",
            "logo=badge&position=tile&size=0.1&margin=0",
            "text=x&position=tile&size=14px&margin=3px&shadow=0.1&shadow_color=ff0000",
            "logo=badge&position=tile&size=0.15&rotate=30",
        ] {
            hold(&kernel, &file, query, 0.9, 24.0);
        }
    }
}

#[test]
fn margins_and_sizes_of_a_logo_are_exact_to_the_pixel() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    for (query, wanted) in [
        // The badge is 60 x 40.
        ("size=40px&position=tl&margin=7px", [7, 7, 67, 47]),
        ("size=0.1&position=br&margin=0.05", [160, 110, 190, 130]),
        ("size=20px&position=bc&margin=0", [85, 120, 115, 140]),
        ("size=1&position=cc&margin=10px", [10, 10, 190, 130]),
        ("size=20px&position=tl&margin=0&rotate=90", [0, 0, 20, 30]),
    ] {
        assert_eq!(Reference::of(&kernel, &format!("logo=badge&{query}"), (200, 140)).bounds(), wanted, "{query}");
    }
}

#[test]
fn a_logo_in_its_own_size_has_its_own_pixels_and_a_coloured_one_makes_grey_rgb() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    let blank = encoded(&RgbaImage::new(60, 40).into(), ImageFormat::Png);
    let after = decoded(&run_with(&kernel, &blank, "logo=badge&size=40px&margin=0&opacity=1").unwrap().to_vec());
    for (found, wanted) in after.to_rgba8().pixels().zip(fixture::badge().pixels()) {
        // Eight bits of alpha leave less than eight of a faint colour.
        assert!(found.0[3] == wanted.0[3] && (wanted.0[3] == 0 || found == wanted), "{found:?} {wanted:?}");
    }
    let coloured = run_with(&kernel, fixture::GREY, "logo=badge").unwrap();
    assert_eq!(coloured.path, Path::Rgb);
    assert!(decoded(&coloured.to_vec()).color().has_color());
    let grey = run_with(&kernel, fixture::GREY, "logo=grey&size=0.2").unwrap();
    assert_eq!(grey.path, Path::Splice);
    hold(&kernel, fixture::GREY, "logo=grey&size=0.3", 0.9, 26.0);
}

#[test]
fn an_outline_is_as_wide_as_asked_for_and_a_shadow_falls_to_the_lower_right_however_the_mark_is_turned() {
    let kernel = Kernel::new().unwrap();
    let sides = (300, 200);
    let bounds = |query: &str| Reference::of(&kernel, query, sides).bounds();
    let plain = bounds("text=I&size=100px&position=cc");
    let outlined = bounds("text=I&size=100px&position=cc&outline=0.06");
    let wider = (outlined[2] - outlined[0]) - (plain[2] - plain[0]);
    assert!((11..=14).contains(&wider), "{wider}");
    assert_eq!(outlined, bounds("text=I&size=100px&position=cc&outline=6px"));
    for turn in [0, 90, 200] {
        let query = format!("text=I&size=100px&position=cc&rotate={turn}&shadow=10px&shadow_color=ff0000");
        let reference = Reference::of(&kernel, &query, sides);
        let [left, top, right, bottom] = reference.bounds();
        let red = |x: u32, y: u32| reference.at(x, y).1 > 0.2 && reference.at(x, y).0[1] < 60.0;
        let share = |xs: std::ops::Range<u32>, ys: std::ops::Range<u32>| {
            xs.flat_map(|x| ys.clone().map(move |y| (x, y))).filter(|(x, y)| red(*x, *y)).count()
        };
        let (middle_x, middle_y) = (left.midpoint(right), top.midpoint(bottom));
        assert!(share(middle_x..right, top..bottom) > share(left..middle_x, top..bottom), "{turn}");
        assert!(share(left..right, middle_y..bottom) > share(left..right, top..middle_y), "{turn}");
    }
}

#[test]
fn the_parts_of_a_mark_have_their_own_colours_and_one_opacity() {
    let kernel = Kernel::new().unwrap();
    let query =
        "text=I&size=120px&position=cc&color=00ff00&outline=0.1&outline_color=0000ff&shadow=0.1&shadow_color=ff0000";
    let blank = encoded(&RgbaImage::new(200, 200).into(), ImageFormat::Png);
    let after = decoded(&run_with(&kernel, &blank, &format!("{query}&opacity=0.4")).unwrap().to_vec());
    // The shadow of a thin letter is soft all over.
    for (color, least) in [([0, 255, 0], 102), ([0, 0, 255], 102), ([255, 0, 0], 25)] {
        let count = after.pixels().filter(|(_, _, Rgba([r, g, b, a]))| [*r, *g, *b] == color && *a >= least).count();
        assert!(count > 100, "{color:?}: {count}");
    }
    assert!(after.pixels().all(|(_, _, pixel)| pixel.0[3] <= 102));
}

#[test]
fn a_logo_is_asked_for_by_name_and_never_beside_text_or_color() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    let said = |query: &str| kernel.plan(query).unwrap_err().to_string();
    assert_eq!(said("logo=shop"), "`logo` is `shop`: write one of badge, grey");
    assert_eq!(said("logo=badge&text=NWS"), "`logo` does not go with `text`: write one of them");
    assert!(said("logo=badge&color=ff0000").starts_with("`logo` does not go with `color`: "));
    assert!(said("outline_color=ff0000").starts_with("`outline_color` has nothing to colour: write `outline"));
    assert!(said("shadow_color=ff0000").starts_with("`shadow_color` has nothing to colour: write `shadow"));
    let none = Kernel::new().unwrap().plan("logo=shop").unwrap_err().to_string();
    assert_eq!(none, "`logo` is `shop`: write `text` instead: no logo was given at start");
}

#[test]
fn the_normalised_form_follows_the_bytes_of_a_logo_and_the_meaning_of_an_edge() {
    let form = |kernel: &Kernel, query: &str| kernel.plan(query).unwrap().normalised(Format::Jpeg);
    let kernel = Kernel::with_logos(logos()).unwrap();
    let mut other = weir_optimizer::kernel::Logos::default();
    other.add("badge", &encoded(&detail(60, 40), ImageFormat::Png)).unwrap();
    other.add("same", &encoded(&fixture::badge().into(), ImageFormat::Png)).unwrap();
    let other = Kernel::with_logos(other).unwrap();
    assert_ne!(form(&kernel, "logo=badge"), form(&other, "logo=badge"));
    assert_eq!(form(&kernel, "logo=badge"), form(&other, "logo=same"));
    assert_ne!(form(&kernel, "logo=badge"), form(&kernel, "logo=grey"));
    assert_eq!(form(&kernel, ""), form(&kernel, "outline=0&outline_color=ff0000&shadow=0px"));
    assert_eq!(form(&kernel, "outline=0.1"), form(&kernel, "outline=.10&outline_color=000000"));
    assert_ne!(form(&kernel, "outline=0.1"), form(&kernel, "shadow=0.1"));
    assert_ne!(form(&kernel, "outline=0.1"), form(&kernel, "outline=0.1&outline_color=000001"));
}

#[test]
fn a_second_request_for_the_same_mark_draws_it_no_more_whatever_its_colour_and_place() {
    let kernel = Kernel::with_logos(logos()).unwrap();
    for (query, drawn) in [
        ("", 1),
        ("position=tl&color=ff0000&opacity=0.9", 1),
        ("format=png", 1),
        ("outline=0.1", 2),
        ("outline=0.1&outline_color=ffffff", 3),
        ("logo=badge", 4),
        ("logo=badge&position=tile&opacity=1", 4),
        ("logo=grey", 5),
        ("size=0.06", 6),
    ] {
        run_with(&kernel, fixture::PHOTO, query).unwrap();
        assert_eq!(kernel.kept_marks().misses, drawn, "{query}");
    }
    assert_eq!(kernel.kept_marks().hits, 3);
    assert!(kernel.kept_marks().bytes > 1_000);
}

#[test]
fn a_name_a_file_or_a_size_that_is_no_logo_is_refused_with_what_to_write() {
    let png = encoded(&fixture::badge().into(), ImageFormat::Png);
    let large = encoded(&DynamicImage::new_luma8(2_100, 2_000), ImageFormat::Png);
    let clear = encoded(&RgbaImage::new(9, 9).into(), ImageFormat::Png);
    let mut logos = logos();
    for (name, file, said) in [
        ("", &png[..], "is not 1 to 64 letters"),
        ("a b", &png, "is not 1 to 64 letters"),
        ("badge", &png, "is given twice"),
        ("new", b"hello", "write a PNG, a WebP or a JPEG"),
        ("new", &png[..png.len() / 2], "write a PNG, a WebP or a JPEG"),
        ("new", &large, "2100 x 2000, and at most 4194304 pixels are kept: write a smaller picture"),
        ("new", &clear, "all of it is transparent"),
        ("new", &vec![0; (8 << 20) + 1], "more than 8388608 bytes: write a smaller one"),
    ] {
        let error = logos.add(name, file).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    logos.add("as-jpeg", fixture::GREY).unwrap();
    assert_eq!(logos.names().collect::<Vec<_>>(), ["as-jpeg", "badge", "grey"]);
}

#[test]
fn the_binary_reads_its_logos_at_start_and_says_what_is_wrong_with_one() {
    let folder = std::env::temp_dir().join(format!("weir-logo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("badge.png");
    std::fs::write(&file, encoded(&fixture::badge().into(), ImageFormat::Png)).unwrap();
    let flag = format!("shop={}", file.display());
    let server = fixture::Server::start(&["--logo", &flag]);
    let reply = server.post("?logo=shop", &[], fixture::PHOTO);
    assert_eq!(reply.status, 200);
    assert_ne!(reply.body, run(fixture::PHOTO, "").unwrap().to_vec());
    let unknown = server.post("?logo=badge", &[], fixture::PHOTO);
    assert_eq!(unknown.status, 400);
    assert!(String::from_utf8(unknown.body).unwrap().contains("write one of shop"));
    for (word, said) in [
        ("shop", "write it as NAME=FILE"),
        ("shop=/nowhere/logo.png", "cannot read the file"),
        (&format!("a/b={}", file.display()), "is not 1 to 64 letters"),
        (&format!("shop={}", env!("CARGO_MANIFEST_PATH")), "write a PNG, a WebP or a JPEG"),
    ] {
        let (status, words) = fixture::refused_start(&["--logo", word]);
        assert!(!status && words.contains(said), "{word}: {words}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_guide_names_every_key_and_each_query_in_it_is_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = std::fs::read_to_string(root.join("docs/guide/marks.md")).unwrap();
    let reference = include_str!("../../src/lib.rs");
    for key in weir_optimizer::plan::KEYS {
        assert!(guide.contains(&format!("| `{key}` |")) && reference.contains(&format!("| `{key}` |")), "{key}");
    }
    let mut logos = logos();
    logos.add("shop", &encoded(&fixture::badge().into(), ImageFormat::Png)).unwrap();
    let kernel = Kernel::with_logos(logos).unwrap();
    let queries: Vec<_> =
        guide.split("/optimize?").skip(1).map(|rest| rest.split(['\'', '`', ' ', '\n']).next().unwrap()).collect();
    assert!(queries.len() >= 2);
    for query in queries {
        assert!(kernel.plan(query).is_ok(), "{query}: {:?}", kernel.plan(query));
    }
    for picture in guide.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(root.join("docs/guide").join(picture).exists(), "{picture}");
    }
}

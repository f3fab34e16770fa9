//! Sizes and pixels against what transformers (Pillow) and llama.cpp make of the same pictures.

use rullama_media::{MediaError, Picture, SizeRule};
use rullama_testing::{golden, shared};
use serde_json::Value;
use std::path::Path;

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

fn picture(path: &Path) -> Picture {
    Picture::decode(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(row: &Value) -> Vec<u32> {
    row.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect()
}

fn sizes_fill_the_budget() {
    let table = json("mm/extra.json");
    let rows = table["sizes"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 480);
    for row in rows {
        let [w, h, budget, to_w, to_h, tokens] = numbers(row)[..] else { panic!("{row}") };
        match SizeRule::fill(budget).unwrap().target(w, h, 48) {
            Ok(target) => {
                assert_eq!([target.width, target.height], [to_w, to_h], "{row}");
                assert_eq!(target.width / 48 * (target.height / 48), tokens, "{row}");
            }
            Err(error) => assert_eq!((to_w, to_h), (0, 0), "{row}: {error}"),
        }
    }
}

fn sizes_stay_near_the_pictures() {
    for row in json("mm/llamacpp_preprocess.json")["sizes"].as_array().unwrap() {
        let [w, h, tokens, to_w, to_h] = numbers(row)[..] else { panic!("{row}") };
        let target = SizeRule::Keep.target(w, h, 48).unwrap();
        assert_eq!([target.width, target.height, target.width / 48 * (target.height / 48)], [to_w, to_h, tokens], "{row}");
    }
}

/// Name, budget.
const SMALL: [(&str, u32); 5] = [("up", 70), ("strip", 70), ("rgba", 70), ("gray", 70), ("palette", 70)];
const LARGE: [(&str, u32); 5] = [("tall", 70), ("wide", 70), ("down", 70), ("b140", 140), ("b560", 560)];

fn equal(from: &Path, expected: &Path, rule: SizeRule) {
    let from = picture(from);
    let target = rule.target(from.width(), from.height(), 48).unwrap();
    assert!(from.fitted(target) == picture(expected), "{} differs", expected.display());
}

fn pixels_are_equal() {
    for (name, budget) in SMALL {
        let [from, expected] = ["png", "expected.png"].map(|end| golden(&format!("mm/resize/{name}.{end}")));
        equal(&from, &expected, SizeRule::fill(budget).unwrap());
    }
    equal(&golden("mm/resize/up.png"), &golden("mm/resize/up.llamacpp.png"), SizeRule::Keep);
}

fn more_pixels_are_equal() {
    for (name, budget) in LARGE {
        let [from, expected] = ["png", "expected.png"].map(|end| shared(&format!("mm/resize/{name}.{end}")));
        equal(&from, &expected, SizeRule::fill(budget).unwrap());
    }
    equal(&shared("mm/resize/tall.png"), &shared("mm/resize/tall.llamacpp.png"), SizeRule::Keep);
}

/// Black and white, where the order of the passes shows most; made by Pillow 13.0.
fn passes_go_in_order() {
    let cases: Value = serde_json::from_str(include_str!("data/passes.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let bytes = |name: &str| numbers(&case[name]).into_iter().map(|value| value as u8).collect::<Vec<u8>>();
        let ([w, h], [to_w, to_h]) = (numbers(&case["size"])[..2].try_into().unwrap(), numbers(&case["to"])[..2].try_into().unwrap());
        let picture: Picture = Picture::new(w, h, bytes("pixels")).unwrap().resized(to_w, to_h);
        assert_eq!(picture.rgb(), bytes("want"), "{w} x {h} to {to_w} x {to_h}");
    }
}

fn patches_go_row_by_row() {
    let rgb: Vec<u8> = (0..4 * 4 * 3).collect();
    let patches = rullama_media::Patches::cut(&Picture::new(4, 4, rgb).unwrap(), 2);
    assert_eq!((patches.grid, patches.len(), patches.cols()), ((2, 2), 4, 12));
    assert_eq!(patches.values[..12], [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17]);
    assert_eq!(patches.values[12..18], [6, 7, 8, 9, 10, 11]);
    assert_eq!(patches.values[24..27], [24, 25, 26]);
}

fn pixels_have_to_be_there() {
    assert_eq!(Picture::new(2, 2, vec![0; 11]), Err(MediaError::PixelCount { bytes: 11, width: 2, height: 2 }));
    assert_eq!(Picture::new(0, 9, vec![]), Err(MediaError::NoPixels { width: 0, height: 9 }));
    assert!(matches!(Picture::new(u32::MAX, u32::MAX, vec![]), Err(MediaError::TooManyPixels { .. })));
}

rullama_testing::tests! {
    sizes_fill_the_budget, sizes_stay_near_the_pictures, pixels_are_equal, more_pixels_are_equal, passes_go_in_order, patches_go_row_by_row,
    pixels_have_to_be_there,
}

//! `--video`: folders of frames, animated pictures, and other files through a program in ffmpeg's place.

use crate::common::{fails, need_adapter, ok, rullama};
use rullama_testing::golden;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A model with towers, by their files.
fn model() -> [PathBuf; 2] {
    need_adapter();
    ["models/dense-ple-f16.gguf", "models/mmproj-dense-ple-f16.gguf"].map(golden)
}

/// The last line of an answer about a video: tokens of the prompt, ids of the answer.
fn answered(video: &Path, more: &[&str], environment: &[(&str, OsString)]) -> (u64, Vec<u64>) {
    let [model, towers] = model();
    let mut command = rullama(&["run", path(&model), "What happens?", "--mmproj", path(&towers), "--video", path(video)]);
    command.args(["--json", "--kv", "f32", "--temperature", "0", "--max-tokens", "8", "--ignore-eos"]).args(more);
    let out = ok(command.envs(environment.iter().cloned()));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, tokens) = lines.split_last().unwrap();
    (last["prompt_tokens"].as_u64().unwrap(), tokens.iter().map(|token| token["id"].as_u64().unwrap()).collect())
}

/// Frames of 384 x 384 at half a frame a second, 64 soft tokens each: the answer is transformers'.
fn a_folder_of_frames_is_seen_as_the_reference_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    // Numbers count, not letters.
    for (n, name) in ["frame9.png", "frame10.png", "frame011.png"].iter().enumerate() {
        fs::copy(golden(&format!("mm/frame{n}.png")), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("notes.txt"), "no frame").unwrap();
    let (_, ids) = answered(folder.path(), &["--fps", "0.5"], &[]);
    let all: Value = serde_json::from_slice(&fs::read(golden("mm/extra.json")).unwrap()).unwrap();
    let want: Vec<u64> = serde_json::from_value(all["prompts"]["video.dense-ple"]["hf_greedy8"].clone()).unwrap();
    assert_eq!(ids, want);
}

/// A program in ffmpeg's place, which lists 100 frames, a second apart, and gives those that are asked for.
#[cfg(unix)]
fn stand_in(folder: &Path) -> OsString {
    use std::os::unix::fs::PermissionsExt;
    let script = r##"#!/bin/sh
echo "$@" >> "$0.log"
case "$*" in
*broken*) echo "moov atom not found" >&2; exit 1 ;;
*framecrc*) echo "#tb 0: 1/10"; n=0; while [ $n -lt 100 ]; do echo "0, 0, $((n * 10 + 5)), 1, 9, 0x1"; n=$((n + 1)); done ;;
*) n=0; while [ $n -lt 32 ]; do printf 'P6\n1 1\n255\nabc'; n=$((n + 1)); done ;;
esac
"##;
    let file = folder.join("ffmpeg");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let mut paths = folder.as_os_str().to_owned();
    paths.push(":");
    paths.push(std::env::var_os("PATH").unwrap_or_default());
    paths
}

#[cfg(unix)]
fn other_files_are_read_by_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let paths = stand_in(folder.path());
    let video = folder.path().join("-film.mp4");
    fs::write(&video, [0, 0, 0, 24, b'f', b't', b'y', b'p']).unwrap();
    // 32 frames of 64 soft tokens with two marks, seen every three seconds or four.
    let (tokens, _) = answered(&video, &["--ctx", "4096"], &[("PATH", paths)]);
    assert!(tokens > 32 * 66, "{tokens}");
    let log = fs::read_to_string(folder.path().join("ffmpeg.log")).unwrap();
    let runs: Vec<&str> = log.lines().collect();
    assert_eq!(runs.len(), 2, "{log}");
    assert!(runs.iter().all(|run| run.contains(&format!("-i file:{}", video.display()))), "{log}");
    assert!(runs[1].contains("select='eq(n,0)+eq(n,3)+eq(n,6)+eq(n,9)+eq(n,12)+eq(n,15)+eq(n,18)+eq(n,21)+eq(n,25)+"), "{log}");
}

#[cfg(unix)]
fn what_cannot_be_seen_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let paths = stand_in(folder.path());
    let file = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        file
    };
    // Media are read before the model is looked for.
    let refused = |video: &Path, paths: &OsString| {
        let mut command = rullama(&["run", path(&golden("models/dense-Q4_0.gguf")), "Hi", "--video", path(video)]);
        fails(1, command.env("PATH", paths))
    };
    let (empty, pictures) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(pictures.path().join("7.png"), "no picture").unwrap();
    for (video, said) in [
        (folder.path().join("none.mp4"), "none.mp4"),
        (file("empty.mp4", b""), "it is empty"),
        (empty.path().to_owned(), "no pictures"),
        (pictures.path().to_owned(), "7.png is none"),
        (file("cut.gif", b"GIF89a\x02\0"), "GIF picture is damaged"),
        (file("broken.mp4", b"....ftyp"), "ffmpeg finds no video that it can read; it says: moov atom not found"),
    ] {
        let error = refused(&video, &paths);
        assert!(error.contains(said) && error.contains(path(&video)), "{error}");
    }
    let without = empty.path().as_os_str().to_owned();
    let error = refused(&file("film.mkv", b"\x1aE\xdf\xa3"), &without);
    assert!(error.contains("film.mkv") && error.contains("ffmpeg, which is not installed: install it"), "{error}");
    fails(2, &mut rullama(&["run", "x", "Hi", "--video", "y", "--fps", "0"]));
}

#[cfg(unix)]
rullama_testing::tests! {
    a_folder_of_frames_is_seen_as_the_reference_sees_it, other_files_are_read_by_ffmpeg, what_cannot_be_seen_is_named,
}

#[cfg(not(unix))]
rullama_testing::tests! { a_folder_of_frames_is_seen_as_the_reference_sees_it }

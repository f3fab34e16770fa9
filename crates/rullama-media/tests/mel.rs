//! Log-mel spectrograms against what transformers' extractor makes of the same recordings.

use rullama_media::Sound;
use rullama_testing::golden;
use safetensors::SafeTensors;

const BOUND: f32 = 5e-4;

fn mel(name: &str) -> Vec<Vec<f32>> {
    Sound::decode(std::fs::read(golden(&format!("mm/{name}.wav"))).unwrap()).unwrap().mel(128).unwrap()
}

fn values(file: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn rows(file: &SafeTensors, name: &str) -> Vec<usize> {
    let tensor = file.tensor(name).unwrap();
    tensor.data().chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()) as usize).collect()
}

fn close(what: &str, got: &[f32], want: &[f32], bound: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{what}: {worst:.2e}");
    assert!(worst <= bound, "{what} differs by {worst:e}");
}

/// Chosen rows of one window's spectrogram, and the sum of every row.
fn compare(file: &SafeTensors, name: &str, got: &[f32]) {
    let key = |of: &str| format!("audio.dense-ple.{name}.{of}");
    let sums: Vec<f32> = got.chunks_exact(128).map(|row| row.iter().map(|v| f64::from(*v)).sum::<f64>() as f32).collect();
    close(&key("mel_frame_sum"), &sums, &values(file, &key("mel_frame_sum")), 128.0 * BOUND);
    let chosen: Vec<f32> = rows(file, &key("mel_rows")).iter().flat_map(|row| got[row * 128..][..128].to_vec()).collect();
    close(&key("mel"), &chosen, &values(file, &key("mel")), BOUND);
}

fn short_recordings_agree() {
    let bytes = std::fs::read(golden("mm/sounds.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for name in ["a100ms", "a331ms"] {
        let got = mel(name);
        assert_eq!(got.len(), 1);
        compare(&file, name, &got[0]);
    }
    close("a1600ms", &mel("a1600ms")[0], &values(&file, "dense-ple.a1600ms.mel"), BOUND);
}

/// Each window of 30 s for itself.
fn long_recordings_agree() {
    let bytes = std::fs::read(golden("mm/extra.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let got = mel("a35s");
    assert_eq!(got.len(), 2);
    for (i, window) in got.iter().enumerate() {
        compare(&file, &format!("a35s.chunk{i}"), window);
    }
    let bytes = std::fs::read(golden("mm/mm.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    close("a2370ms", &mel("a2370ms")[0], &values(&file, "dense-ple.a2370ms.mel"), BOUND);
}

rullama_testing::tests! { short_recordings_agree, long_recordings_agree }

//! Files of sounds: every format and depth, rates, and what is wrong with them.

use rullama_media::{MediaError, Sound};
use std::f64::consts::TAU;
use std::path::Path;

/// A WAV file of interleaved samples; `tag` 1 is integers, 3 floats.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut file = Vec::from(*b"RIFF");
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0");
    file.extend(tag.to_le_bytes().iter().chain(&channels.to_le_bytes()).chain(&rate.to_le_bytes()));
    file.extend((rate * u32::from(block)).to_le_bytes().iter().chain(&block.to_le_bytes()).chain(&bits.to_le_bytes()));
    file.extend(b"data".iter().chain(&(data.len() as u32).to_le_bytes()).chain(data));
    file
}

fn tone(hertz: f64, rate: u32, count: usize) -> Vec<f64> {
    (0..count).map(|i| 0.4 * (TAU * hertz * i as f64 / f64::from(rate)).sin()).collect()
}

fn floats(samples: &[f64]) -> Vec<u8> {
    samples.iter().flat_map(|sample| (*sample as f32).to_le_bytes()).collect()
}

fn close(got: &[f32], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len());
    let worst = got.iter().zip(want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(worst <= bound, "{worst:e} of {bound:e}");
}

fn every_depth_is_read() {
    let want = tone(440.0, 16_000, 1601);
    let integer = |bits: u32| {
        let of = |sample: &f64| (sample * f64::from(1u32 << (bits - 1))).round() as i64;
        want.iter().flat_map(move |sample| of(sample).to_le_bytes()[..bits as usize / 8].to_vec()).collect::<Vec<u8>>()
    };
    let unsigned: Vec<u8> = want.iter().map(|sample| (sample * 128.0).round() as i16 as u8 ^ 0x80).collect();
    let doubles: Vec<u8> = want.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let files =
        [(1, 8, unsigned), (1, 16, integer(16)), (1, 24, integer(24)), (1, 32, integer(32)), (3, 32, floats(&want)), (3, 64, doubles)];
    for (tag, bits, data) in files {
        let sound = Sound::decode(wav(tag, 1, 16_000, bits, &data)).unwrap();
        close(sound.samples(), &want, if tag == 3 { 1e-7 } else { 1.01 / f64::from(1u32 << (bits - 1)) + 1e-7 });
    }
}

fn channels_are_averaged() {
    let of = tone(440.0, 16_000, 800);
    for channels in [2u16, 8] {
        // The first channel alone sounds.
        let data: Vec<f64> = of.iter().flat_map(|sample| [vec![*sample], vec![0.0; usize::from(channels) - 1]].concat()).collect();
        let want: Vec<f64> = of.iter().map(|sample| sample / f64::from(channels)).collect();
        close(Sound::decode(wav(3, channels, 16_000, 32, &floats(&data))).unwrap().samples(), &want, 1e-6);
    }
}

/// What is heard at 16 kHz stays in its place in time; what is above 8 kHz is gone.
fn rates_become_16_khz() {
    for rate in [8_000u32, 11_025, 22_050, 44_100, 48_000, 96_000, 47_999] {
        let count = rate as usize / 2 + 7;
        let sound = Sound::decode(wav(3, 1, rate, 32, &floats(&tone(440.0, rate, count)))).unwrap();
        let wanted = (count * 16_000).div_ceil(rate as usize);
        assert_eq!(sound.samples().len(), wanted, "{rate}");
        let want = tone(440.0, 16_000, wanted);
        // Not where the tone begins and ends at once.
        close(&sound.samples()[400..wanted - 400], &want[400..wanted - 400], 2e-3);
    }
    let high = Sound::decode(wav(3, 1, 48_000, 32, &floats(&tone(11_000.0, 48_000, 24_000)))).unwrap();
    close(&high.samples()[400..7600], &vec![0.0; 7200], 1e-3);
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sounds").join(name)).unwrap()
}

/// How much of a tone a sound has: its amplitude by correlation, away from the ends.
fn amplitude(sound: &Sound, hertz: f64) -> f64 {
    let middle = &sound.samples()[1600..8000];
    let part = |phase: f64| {
        let of = |(i, sample): (usize, &f32)| f64::from(*sample) * (TAU * hertz * i as f64 / 16_000.0 + phase).sin();
        2.0 * middle.iter().enumerate().map(of).sum::<f64>() / middle.len() as f64
    };
    part(0.0).hypot(part(TAU / 4.0))
}

/// Half of 0.4 at 440 Hz on the left and of 0.2 at 1 kHz on the right. FFmpeg's Vorbis encoder kept little of the right: 0.0278 by its own
/// decoder.
fn compressed_files_are_read() {
    for name in ["tones.flac", "tones.mp3", "tones.ogg", "tones.m4a", "tones.aac"] {
        let sound = Sound::decode(data(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((sound.seconds() - 0.6).abs() < 0.15, "{name}: {} s", sound.seconds());
        for (hertz, want) in [(440.0, 0.2), (1000.0, if name == "tones.ogg" { 0.0278 } else { 0.1 }), (2500.0, 0.0)] {
            let got = amplitude(&sound, hertz);
            assert!((got - want).abs() < 0.02, "{name}: {got:.4} at {hertz} Hz, not {want}");
        }
    }
}

fn what_is_no_sound_is_named() {
    let refused = |bytes: &[u8]| Sound::decode(bytes.to_vec()).unwrap_err();
    assert_eq!(refused(b""), MediaError::UnknownSound);
    assert_eq!(refused(b"\x89PNG\r\n\x1a\n and so on"), MediaError::UnknownSound);
    assert_eq!(refused(&data("opus.ogg")), MediaError::UnknownCodec { format: "Ogg" });
    assert_eq!(refused(&wav(1, 1, 16_000, 16, &[])), MediaError::NoSamples);
    for value in [f64::NAN, f64::INFINITY] {
        let mut samples = tone(440.0, 16_000, 3200);
        samples[1600] = value;
        let error = refused(&wav(3, 1, 16_000, 32, &floats(&samples)));
        assert!(matches!(error, MediaError::NotFinite { seconds, .. } if seconds == 0.1), "{error}");
    }
    assert_eq!(refused(&wav(3, 1, 1_000_000, 32, &floats(&[0.5; 99]))), MediaError::Rate { rate: 1_000_000 });
    let short = Sound::decode(wav(3, 1, 16_000, 32, &floats(&[0.5; 160]))).unwrap();
    assert_eq!(short.mel(128).unwrap_err(), MediaError::TooShort { samples: 160, least: 161 });
    assert_eq!(Sound::new(vec![0.0; 161]).unwrap().mel(128).unwrap()[0].len(), 128);
}

fn cut_files_are_refused() {
    let whole = wav(3, 1, 16_000, 32, &floats(&tone(440.0, 16_000, 16_000)));
    for keep in [10, 30, 44, 45, 30_000, whole.len() / 2] {
        let error = Sound::decode(whole[..keep].to_vec()).unwrap_err();
        assert!(error.to_string().starts_with("the "), "{error}");
    }
    for name in ["tones.flac", "tones.m4a"] {
        let file = data(name);
        let error = Sound::decode(file[..file.len() / 2].to_vec()).unwrap_err();
        assert!(matches!(error, MediaError::DamagedSound { .. }), "{name}: {error}");
    }
}

/// Every cut and many flips: an error or a sound, and no panic.
fn damaged_files_end() {
    for name in ["tones.flac", "tones.mp3", "tones.ogg", "tones.m4a", "tones.aac"] {
        let file = data(name);
        for keep in (0..file.len()).step_by(file.len() / 40) {
            let _ = Sound::decode(file[..keep].to_vec());
        }
        for at in (0..file.len()).step_by(file.len() / 60) {
            let mut broken = file.clone();
            broken[at] ^= 0x55;
            let _ = Sound::decode(broken);
        }
    }
}

/// A stream of unknown length, as programs write WAV into a pipe, is read to its end.
fn streamed_wav_files_are_read() {
    let mut file = wav(3, 1, 16_000, 32, &floats(&tone(440.0, 16_000, 8000)));
    file[4..8].fill(0xff);
    file[40..44].fill(0xff);
    assert_eq!(Sound::decode(file).unwrap().samples().len(), 8000);
}

/// Ten hours of silence in 36 MB, without an index that tells: it is refused when the bound is passed, not at its end.
fn long_sounds_are_refused() {
    // MPEG-2, layer 3, 8 kbit/s, 24 kHz, one channel: 576 samples in 24 bytes.
    let mut frame = vec![0xff, 0xf3, 0x14, 0xc0];
    frame.resize(24, 0);
    let error = Sound::decode(frame.repeat(1_500_000)).unwrap_err();
    assert!(matches!(error, MediaError::TooLong { limit: 1800, .. }), "{error}");
    // A header that says so is believed.
    let mut file = wav(1, 1, 8_000, 8, &[0x80; 100]);
    for (place, more) in [(4, 36u32), (40, 0)] {
        file[place..place + 4].copy_from_slice(&(8_000 * 36_000 + more).to_le_bytes());
    }
    assert_eq!(Sound::decode(file).unwrap_err(), MediaError::TooLong { seconds: 36_000, limit: 1800 });
    assert_eq!(Sound::new(vec![0.0; 1801 * 16_000]).unwrap_err(), MediaError::TooLong { seconds: 1801, limit: 1800 });
}

fn windows_and_frames() {
    let sound = |samples| Sound::new(vec![0.25; samples]).unwrap();
    let frames = |samples| -> Vec<usize> { sound(samples).mel(128).unwrap().iter().map(|mel| mel.len() / 128).collect() };
    assert_eq!(frames(480_000), [2999]);
    // A rest that makes no frame is left out.
    assert_eq!(frames(480_160), [2999]);
    assert_eq!(frames(480_161), [2999, 1]);
    let raw: Vec<usize> = sound(480_001).frames(640).iter().map(Vec::len).collect();
    assert_eq!(raw, [480_000, 640]);
}

rullama_testing::tests! {
    every_depth_is_read,
    channels_are_averaged,
    rates_become_16_khz,
    compressed_files_are_read,
    what_is_no_sound_is_named,
    cut_files_are_refused,
    damaged_files_end,
    streamed_wav_files_are_read,
    long_sounds_are_refused,
    windows_and_frames,
}

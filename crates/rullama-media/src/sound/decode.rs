//! Files of sounds.

use super::resample::Resampler;
use super::{MAX_SECONDS, Sound};
use crate::MediaError;
use crate::picture::MAX_BYTES;
use std::io::{Cursor, ErrorKind};
use symphonia::core::audio::{SampleBuffer, SignalSpec};
use symphonia::core::codecs::{CODEC_TYPE_NULL, Decoder, DecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::{Limit, MetadataOptions};
use symphonia::core::probe::Hint;

/// How names of the files end that can be read.
pub const ENDINGS: [&str; 9] = ["wav", "wave", "mp3", "flac", "ogg", "oga", "m4a", "mp4", "aac"];

/// Most samples a second of a file.
const MAX_RATE: u32 = 384_000;

/// Bytes that a file's tags may take.
const TAG_BYTES: usize = 1 << 20;

/// Packets at the beginning of a stream that may refer to others before it.
const SKIPPED: u32 = 8;

/// Frames that a file may have less than it says: the end of the last packet.
const SLACK: u64 = 4096;

impl Sound {
    /// Reads a WAV, MP3, FLAC, Ogg Vorbis, M4A or AAC file, told by its first bytes: its first sound, channels averaged, at 16 kHz.
    ///
    /// # Errors
    /// Another format, a damaged or cut file, more bytes or seconds than there may be, no samples, one that is not finite.
    pub fn decode(bytes: Vec<u8>) -> Result<Sound, MediaError> {
        let name = checked(&bytes)?;
        // Of a WAV file that was written as a stream; its length is no length.
        let endless = name == "WAV" && bytes.get(4..8) == Some(&[0xff; 4]);
        let damaged = |message: String| MediaError::DamagedSound { format: name, message };
        let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), MediaSourceStreamOptions::default());
        let tags = MetadataOptions { limit_metadata_bytes: Limit::Maximum(TAG_BYTES), limit_visual_bytes: Limit::Maximum(TAG_BYTES) };
        let options = FormatOptions { enable_gapless: true, ..Default::default() };
        let probed = symphonia::default::get_probe().format(&Hint::new(), stream, &options, &tags);
        let mut reader = probed.map_err(|error| damaged(described(&error)))?.format;
        let track = reader.tracks().iter().find(|track| track.codec_params.codec != CODEC_TYPE_NULL).cloned();
        let track = track.ok_or(MediaError::UnknownCodec { format: name })?;
        let decoder = symphonia::default::get_codecs().make(&track.codec_params, &DecoderOptions::default());
        let mut decoder = decoder.map_err(|error| match error {
            Error::Unsupported(_) => MediaError::UnknownCodec { format: name },
            other => damaged(described(&other)),
        })?;
        let mut mixer = Mixer::new(name, &track, endless)?;
        mixer.read(&mut *reader, &mut *decoder)?;
        mixer.finish()
    }

    /// Whether bytes are a file that [`decode`](Self::decode) knows, by their number and the first of them.
    ///
    /// # Errors
    /// Another format, more bytes than there may be.
    pub fn check_file(bytes: &[u8]) -> Result<(), MediaError> {
        checked(bytes).map(|_| ())
    }
}

fn checked(bytes: &[u8]) -> Result<&'static str, MediaError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(MediaError::FileTooLarge { bytes: bytes.len() as u64, limit: MAX_BYTES });
    }
    format_of(bytes).ok_or(MediaError::UnknownSound)
}

/// The format by a file's first bytes.
fn format_of(bytes: &[u8]) -> Option<&'static str> {
    let at = |place: usize, mark: &[u8]| bytes.get(place..place + mark.len()) == Some(mark);
    let frame = bytes.len() > 2 && bytes[0] == 0xff && bytes[1] & 0xe0 == 0xe0;
    match () {
        () if at(0, b"RIFF") && at(8, b"WAVE") => Some("WAV"),
        () if at(0, b"fLaC") => Some("FLAC"),
        () if at(0, b"OggS") => Some("Ogg"),
        () if at(4, b"ftyp") => Some("M4A"),
        // Layer 0 is that of AAC.
        () if frame && bytes[1] & 0x06 == 0 => Some("AAC"),
        () if at(0, b"ID3") || frame => Some("MP3"),
        () => None,
    }
}

fn described(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => "it ends too early".into(),
        other => other.to_string(),
    }
}

/// Packets to samples of one channel.
struct Mixer {
    format: &'static str,
    track: u32,
    /// Frames that the file says it has, where it knows.
    declared: Option<u64>,
    /// Known with the first packet that is decoded.
    spec: Option<SignalSpec>,
    resampler: Option<Resampler>,
    frames: u64,
    skipped: u32,
}

impl Mixer {
    fn new(format: &'static str, track: &Track, endless: bool) -> Result<Self, MediaError> {
        let declared = track.codec_params.n_frames.filter(|_| !endless);
        if let (Some(frames), Some(rate)) = (declared, track.codec_params.sample_rate) {
            check_length(frames, rate)?;
        }
        // That of MP3 is guessed from the first packets where the file has no index.
        let declared = declared.filter(|_| format != "MP3" && format != "AAC");
        Ok(Mixer { format, track: track.id, declared, spec: None, resampler: None, frames: 0, skipped: 0 })
    }

    fn damaged(&self, message: impl Into<String>) -> MediaError {
        MediaError::DamagedSound { format: self.format, message: message.into() }
    }

    fn read(&mut self, reader: &mut dyn FormatReader, decoder: &mut dyn Decoder) -> Result<(), MediaError> {
        loop {
            let packet = match reader.next_packet() {
                Ok(packet) => packet,
                Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(self.damaged(described(&error))),
            };
            if packet.track_id() != self.track {
                continue;
            }
            match decoder.decode(&packet) {
                Ok(decoded) if decoded.frames() == 0 => {}
                Ok(decoded) => {
                    let spec = *decoded.spec();
                    let mut samples = SampleBuffer::<f32>::new(decoded.capacity() as u64, spec);
                    samples.copy_interleaved_ref(decoded);
                    self.take(spec, samples.samples())?;
                }
                Err(Error::DecodeError(_)) if self.frames == 0 && self.skipped < SKIPPED => self.skipped += 1,
                Err(error) => return Err(self.damaged(described(&error))),
            }
        }
    }

    /// Averages the channels of interleaved samples.
    fn take(&mut self, spec: SignalSpec, samples: &[f32]) -> Result<(), MediaError> {
        if self.spec.is_some_and(|known| known != spec) {
            return Err(self.damaged("its rate or channels change midway"));
        }
        self.spec = Some(spec);
        if spec.rate == 0 || spec.rate > MAX_RATE {
            return Err(MediaError::Rate { rate: spec.rate });
        }
        let channels = spec.channels.count().max(1);
        let mono: Vec<f32> = samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect();
        if let Some(at) = mono.iter().position(|sample| !sample.is_finite()) {
            return Err(MediaError::NotFinite { value: mono[at], seconds: (self.frames + at as u64) as f64 / f64::from(spec.rate) });
        }
        self.frames += mono.len() as u64;
        check_length(self.frames, spec.rate)?;
        let resampler = match &mut self.resampler {
            Some(known) => known,
            none => none.insert(Resampler::new(spec.rate)?),
        };
        resampler.push(&mono)
    }

    fn finish(self) -> Result<Sound, MediaError> {
        if let Some(declared) = self.declared.filter(|declared| self.frames + SLACK.min(declared / 2) < *declared) {
            return Err(self.damaged(format!("it ends after {} of {declared} samples", self.frames)));
        }
        match self.resampler {
            Some(resampler) => Sound::new(resampler.finish()?),
            None if self.skipped > 0 => Err(self.damaged("nothing of it can be decoded")),
            None => Err(MediaError::NoSamples),
        }
    }
}

fn check_length(frames: u64, rate: u32) -> Result<(), MediaError> {
    let seconds = frames / u64::from(rate.max(1));
    // A file just as long as allowed may have a rest.
    if seconds > u64::from(MAX_SECONDS) { Err(MediaError::TooLong { seconds, limit: MAX_SECONDS }) } else { Ok(()) }
}

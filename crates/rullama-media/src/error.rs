/// What is wrong with a picture or a sound.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    #[error("the picture is empty. Give a PNG, JPEG, GIF, WebP or BMP file")]
    Empty,
    #[error("the file is no picture that can be read: it is not PNG, JPEG, GIF, WebP or BMP. Convert it to one of these")]
    UnknownFormat,
    #[error("the file has {bytes} bytes, more than {limit}. Make it smaller")]
    FileTooLarge { bytes: u64, limit: u64 },
    #[error("the picture has {width} x {height} pixels, more than {limit} in all. Make it smaller")]
    TooManyPixels { width: u64, height: u64, limit: u64 },
    #[error("a picture of {width} x {height} pixels has none. Give another picture")]
    NoPixels { width: u32, height: u32 },
    #[error("{bytes} bytes are not {width} x {height} pixels of red, green and blue")]
    PixelCount { bytes: usize, width: u32, height: u32 },
    #[error("the {format} picture is damaged or cut off: {message}. Give a whole file")]
    Damaged { format: &'static str, message: String },
    #[error(
        "a picture of {width} x {height} pixels cannot be cut into patches of {patch} within {budget} soft tokens. Give a larger budget"
    )]
    Budget { width: u32, height: u32, patch: u32, budget: u32 },
    #[error("`{value}` is no budget of soft tokens. Choose 70, 140, 280, 560 or 1120")]
    UnknownBudget { value: u32 },
    #[error("the video has no frames. Give another one")]
    NoFrames,
    #[error("the video's frames have more than {limit} pixels together. Make it smaller or shorter")]
    LongVideo { limit: u64 },
    #[error("a picture of {width} x {height} pixels is no whole number of squares of {side}. Choose a budget of soft tokens for it")]
    NotWhole { width: u32, height: u32, side: u32 },
    #[error("the sound has no samples. Give another file")]
    NoSamples,
    #[error("the file is no sound that can be read: it is not WAV, MP3, FLAC, Ogg Vorbis, M4A or AAC. Convert it to one of these")]
    UnknownSound,
    #[error("the {format} file holds no sound in a coding that can be read. Convert it to WAV, MP3, FLAC, Ogg Vorbis or M4A (AAC)")]
    UnknownCodec { format: &'static str },
    #[error("the {format} sound is damaged or cut off: {message}. Give a whole file")]
    DamagedSound { format: &'static str, message: String },
    #[error("the sound has {seconds} s, more than {limit}. Cut it into shorter ones")]
    TooLong { seconds: u64, limit: u32 },
    #[error("a sound of {samples} samples at 16 kHz is too short: {least} make a frame. Give a longer one")]
    TooShort { samples: usize, least: usize },
    #[error("the sound's sample at {seconds:.3} s is {value}. Give a sound of finite samples")]
    NotFinite { value: f32, seconds: f64 },
    #[error("{rate} samples a second cannot be brought to 16000. Convert the sound to a rate up to 384000")]
    Rate { rate: u32 },
}

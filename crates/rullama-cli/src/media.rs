//! `--image`, `--audio`, `--video` and `--mmproj`: pictures, sounds and videos of files, for every command that shows them to a model.

use crate::model::Located;
use crate::video;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rullama::perception::picture::DEFAULT_BUDGET;
use rullama::perception::picture::{BUDGETS, MAX_BYTES};
use rullama::perception::sound::{ENDINGS, Sound};
use rullama::perception::video::{FRAME_BUDGET, Frame};
use rullama::{Cancel, Engine, Error, Extent, Gallery, MediaKind, MediaPart, Medium, Message, Picture, Prompt, Sense, SizeRule, sense_of};
use rullama_media::MediaError;
use rullama_model::model::open_tower;
use rullama_model::tower::Wants;
use rullama_source::gguf::Gguf;
use rullama_source::{ByteSource, FileSource, SourceError, open_path};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files to perceive, in the order of the command line, and the file of the towers.
#[derive(Debug, Clone, Default)]
pub struct MediaArguments {
    pub files: Vec<(MediaKind, PathBuf)>,
    pub projector: Option<PathBuf>,
    /// Soft tokens that a picture may take, where somebody said.
    pub budget: Option<u32>,
    /// Frames a second of a folder of frames, likewise.
    pub fps: Option<f64>,
}

/// Flags of a kind.
const FLAGS: [(&str, MediaKind, &str); 3] = [
    ("image", MediaKind::Image, "A picture (PNG, JPEG, GIF, WebP or BMP); may be given several times"),
    ("audio", MediaKind::Audio, "A sound (WAV, MP3, FLAC, Ogg Vorbis, M4A or AAC) of up to 30 minutes; may be given several times"),
    (
        "video",
        MediaKind::Video,
        "A video: a folder of frames, an animated GIF, WebP or PNG, or what ffmpeg reads; may be given several times",
    ),
];

impl clap::Args for MediaArguments {
    fn augment_args(command: Command) -> Command {
        let heading = "Pictures, sounds and videos";
        let flag = |name, help| {
            let flag = Arg::new(name).long(name).value_name("FILE").action(ArgAction::Append);
            flag.value_parser(value_parser!(PathBuf)).help(help).help_heading(heading)
        };
        let command = FLAGS.into_iter().fold(command, |command, (name, _, help)| command.arg(flag(name, help)));
        let projector = Arg::new("mmproj").long("mmproj").value_name("FILE").value_parser(value_parser!(PathBuf));
        let projector = projector.help("The file with the model's towers, where it has none of its own").help_heading(heading);
        let budget = Arg::new("image-tokens").long("image-tokens").value_name("N").value_parser(known_budget);
        let budget =
            budget.help("Soft tokens that a picture may take [default: 280, where the model's file says nothing]").help_heading(heading);
        let fps = Arg::new("fps").long("fps").value_name("N").value_parser(known_fps);
        let fps = fps.help("Frames a second of a folder of frames [default: 24]").help_heading(heading);
        command.arg(projector).arg(budget).arg(fps)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// A budget of soft tokens that there is.
pub fn known_budget(text: &str) -> Result<u32, String> {
    let budget: u32 = text.parse().map_err(|_| "give 70, 140, 280, 560 or 1120".to_owned())?;
    SizeRule::fill(budget).map(|_| budget).map_err(|error| error.to_string())
}

fn known_fps(text: &str) -> Result<f64, String> {
    let fps = text.parse().ok().filter(|fps: &f64| (0.001..=1000.0).contains(fps));
    fps.ok_or_else(|| "give a number from 0.001 to 1000".to_owned())
}

impl clap::FromArgMatches for MediaArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut files = Vec::new();
        for (name, kind, _) in FLAGS {
            let paths = matches.get_many::<PathBuf>(name).into_iter().flatten().cloned();
            let places = matches.indices_of(name).into_iter().flatten();
            files.extend(places.zip(paths).map(|(place, path)| (place, kind, path)));
        }
        files.sort_by_key(|file| file.0);
        let files = files.into_iter().map(|(_, kind, path)| (kind, path)).collect();
        let (budget, fps) = (matches.get_one("image-tokens").copied(), matches.get_one("fps").copied());
        Ok(MediaArguments { files, projector: matches.get_one("mmproj").cloned(), budget, fps })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl MediaArguments {
    /// Gives the engine the towers of `--mmproj`, else those that the store keeps beside the model.
    ///
    /// # Errors
    /// A file that is not there.
    pub fn attach(&self, engine: &Engine, located: &Located) -> Result<()> {
        let source = match &self.projector {
            Some(path) => Some(open_path(path).with_context(|| format!("--mmproj {} cannot be opened", path.display()))?),
            None => stored_projector(located)?,
        };
        pollster::block_on(engine.set_projector(source));
        Ok(())
    }

    /// How a picture's size is chosen.
    pub fn rule(&self) -> SizeRule {
        self.budget.map_or_else(SizeRule::default, |budget| SizeRule::Fill { budget })
    }

    /// Reads all files.
    ///
    /// # Errors
    /// The first that is none, by its name.
    pub fn read(&self) -> Result<Vec<Given>> {
        let mut given = Vec::new();
        for (kind, path) in &self.files {
            given.extend(read(*kind, path, self.rule(), self.fps)?);
        }
        Ok(given)
    }
}

/// The file of towers that the store keeps beside a model.
///
/// # Errors
/// A file that is not there.
pub fn stored_projector(located: &Located) -> Result<Option<Arc<dyn ByteSource>>, SourceError> {
    let stored = located.stored.as_ref().and_then(|stored| stored.projectors.first());
    stored.map(|blob| Ok(Arc::new(FileSource::open(&blob.path)?) as Arc<dyn ByteSource>)).transpose()
}

/// What the model perceives of the media that messages carry.
///
/// # Errors
/// A medium that cannot be decoded; those of [`Engine::encode`].
pub async fn gallery(engine: &Engine, messages: &[Message], cancel: &Cancel) -> Result<Gallery, Error> {
    let mut gallery = Gallery::default();
    for part in messages.iter().flat_map(Message::media) {
        if !gallery.contains(part) {
            gallery.insert(part, engine.encode(&carried(part)?, cancel).await?);
        }
    }
    Ok(gallery)
}

/// Pixels that a side of a picture's soft token stands for, in every Gemma 4.
const SIDE: u32 = 48;

/// How a model's file has media prepared; where it has no tower, as most models have.
pub fn wants_of_file(gguf: &Gguf, kind: MediaKind) -> Wants {
    let dim = gguf.metadata.u32("gemma4.embedding_length").unwrap_or(0);
    let usual = match kind {
        MediaKind::Image | MediaKind::Video => Wants::Patches { patch: SIDE / 3, pool: 3, budget: DEFAULT_BUDGET },
        MediaKind::Audio => Wants::Mel { bins: 128 },
    };
    open_tower(gguf, sense_of(kind), dim).ok().flatten().map_or(usual, |tower| tower.wants())
}

/// Soft tokens of a part, by its data or by how much of it there is said to be; `None` where it says neither.
///
/// # Errors
/// What is wrong with the data.
pub fn soft_tokens(part: &MediaPart, gguf: &Gguf) -> Result<Option<usize>, Error> {
    let rule = if part.frame.is_some() { OF_FRAME } else { SizeRule::default() };
    let extent = match (part.kind, part.source.is_empty()) {
        (MediaKind::Audio, false) => Some(Extent::of_sound(&Sound::decode(data(part)?)?)),
        (MediaKind::Audio, true) => part.samples.map(|samples| Extent::Sound { samples: samples as usize }),
        (_, false) => {
            let (width, height) = Picture::size_of_file(&data(part)?)?;
            Some(Extent::Picture { width, height, rule })
        }
        (_, true) => part.size.map(|(width, height)| Extent::Picture { width, height, rule }),
    };
    extent.map(|extent| Ok(extent.soft_tokens(wants_of_file(gguf, part.kind))? as usize)).transpose()
}

/// The medium that a message carries as base64 or in a data URL.
///
/// # Errors
/// An address, which is not fetched; what is no base64; a medium that cannot be decoded.
fn carried(part: &MediaPart) -> Result<Medium, Error> {
    let bytes = data(part)?;
    match part.kind {
        MediaKind::Image => Ok(Medium::picture(Picture::decode(&bytes)?)),
        MediaKind::Audio => Ok(Medium::sound(Sound::decode(bytes)?)),
        MediaKind::Video => Ok(Medium::Picture(Arc::new(Picture::decode(&bytes)?), OF_FRAME)),
    }
}

/// How the size of a frame is chosen that is a picture of its own.
const OF_FRAME: SizeRule = SizeRule::Fill { budget: FRAME_BUDGET };

fn unread(value: &str, reason: &str) -> Error {
    Error::InvalidArgument { name: "messages", value: value.into(), reason: reason.into() }
}

/// Whether a part's data is what it should be, as far as its beginning tells: before a request waits for its turn.
///
/// # Errors
/// As [`carried`].
pub fn check(part: &MediaPart) -> Result<(), Error> {
    let bytes = data(part)?;
    match part.kind {
        MediaKind::Image | MediaKind::Video => Picture::size_of_file(&bytes).map(|_| ())?,
        MediaKind::Audio => Sound::check_file(&bytes)?,
    }
    Ok(())
}

/// The bytes that a part carries.
fn data(part: &MediaPart) -> Result<Vec<u8>, Error> {
    let refused = unread;
    if part.kind == MediaKind::Video && part.frame.is_none() {
        return Err(refused("a video", "is not read: give its frames as pictures, in a list `frames`"));
    }
    let text = match part.source.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").map(|(_, data)| data).ok_or_else(|| refused("a data URL", "is not of base64"))?,
        None if part.source.is_empty() => return Err(refused("a picture or a sound", "has no data: give it as base64")),
        None if part.source.contains("://") => {
            let reason = "is not fetched: give the data itself, as base64 or in a data URL";
            return Err(refused(&part.source.chars().take(80).collect::<String>(), reason));
        }
        None => &part.source,
    };
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(plain.trim_end_matches('=')).map_err(|_| refused("a picture or a sound", "is no base64"))
}

/// With or without `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent));

/// A medium of a file: of a video one of its frames.
pub struct Given {
    pub kind: MediaKind,
    pub medium: Medium,
    /// Of a video.
    pub frame: Option<rullama::Frame>,
    path: PathBuf,
}

impl Given {
    /// The part of a message that shows it, by a name.
    pub fn part(&self, source: impl Into<Arc<str>>) -> MediaPart {
        MediaPart { frame: self.frame, ..MediaPart::new(self.kind, source) }
    }
}

/// Reads a picture, a sound, or the frames of a video.
///
/// # Errors
/// What is wrong with the file, by its name.
pub fn read(kind: MediaKind, path: &Path, rule: SizeRule, fps: Option<f64>) -> Result<Vec<Given>> {
    let named = || format!("{} cannot be used", path.display());
    let given = |medium, frame| Given { kind, medium, frame, path: path.to_owned() };
    Ok(match kind {
        MediaKind::Image => {
            let picture = Picture::decode(&bytes(path)?).with_context(named)?;
            vec![given(Medium::Picture(Arc::new(picture), rule), None)]
        }
        MediaKind::Audio => vec![given(Medium::sound(Sound::decode(bytes(path)?).with_context(named)?), None)],
        MediaKind::Video => {
            let frames = video::frames(path, SIDE, fps).with_context(named)?;
            let frame = |(n, frame): (usize, Frame)| {
                let seen = rullama::Frame { number: n as u32, seconds: frame.seconds.max(0.0) as u64 };
                given(Medium::Picture(Arc::new(frame.picture), SizeRule::Exact), Some(seen))
            };
            frames.into_iter().enumerate().map(frame).collect()
        }
    })
}

/// The message that shows media before a text.
pub fn message(shown: Vec<MediaPart>, text: &str) -> Message {
    if shown.is_empty() { Message::user(text) } else { Message::showing(shown, text) }
}

/// Endings of pictures' files.
pub const PICTURES: [&str; 6] = ["png", "jpg", "jpeg", "gif", "webp", "bmp"];
const VIDEOS: [&str; 8] = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg"];

/// What a file is by its name's ending, if it is a picture, a sound or a video.
pub fn kind_of_name(name: &str) -> Option<MediaKind> {
    let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    let kinds = [(&PICTURES[..], MediaKind::Image), (&ENDINGS[..], MediaKind::Audio), (&VIDEOS[..], MediaKind::Video)];
    kinds.into_iter().find(|(endings, _)| endings.contains(&ending.as_str())).map(|kind| kind.1)
}

/// A file's bytes, as many as any medium may have.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    let named = || format!("{} cannot be read", path.display());
    let file = File::open(path).with_context(named)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(named)?;
    if bytes.len() as u64 > MAX_BYTES {
        let size = std::fs::metadata(path).map_or(0, |about| about.len()).max(bytes.len() as u64);
        return Err(MediaError::FileTooLarge { bytes: size, limit: MAX_BYTES }).with_context(named);
    }
    Ok(bytes)
}

/// What a tower read of a file and made of it.
pub struct Shown {
    pub medium: Medium,
    pub perceived: rullama::Perceived,
}

/// Perceives media that [`MediaArguments::read`] gave for prompts whose placeholders are there already: a picture's budget is that which gives as many soft tokens.
///
/// # Errors
/// A picture that no budget gives so many for; a model without the tower.
pub fn show(engine: &Engine, arguments: &MediaArguments, media: Vec<Given>, runs: &[(Sense, usize)]) -> Result<Vec<Shown>> {
    let mut runs: Vec<(Sense, usize)> = runs.to_vec();
    let mut shown = Vec::new();
    for Given { medium, path, .. } in media {
        let place = runs.iter().position(|run| run.0 == medium.sense());
        let wanted = place.map(|place| runs.remove(place).1);
        let medium = match (medium, wanted, arguments.budget) {
            (Medium::Picture(picture, rule @ SizeRule::Model), Some(wanted), None) => {
                Medium::Picture(picture.clone(), suited(engine, &picture, rule, wanted)?)
            }
            (medium, ..) => medium,
        };
        let perceived = pollster::block_on(engine.perceive(&medium, false, &Cancel::new()));
        let perceived = perceived.with_context(|| format!("{} cannot be shown to the model", path.display()))?;
        shown.push(Shown { medium, perceived });
    }
    Ok(shown)
}

/// Ids with the soft tokens that stand for their placeholders.
///
/// # Errors
/// Placeholders that are not as many as the soft tokens.
pub fn prompt(engine: &Engine, ids: &[u32], shown: &[Shown]) -> Result<Prompt> {
    let soft = shown.iter().map(|shown| Ok(Arc::new(shown.perceived.soft(shown.medium.sense(), engine.info().dim)?)));
    let soft: Vec<_> = soft.collect::<Result<_>>()?;
    Prompt::new(engine, ids.to_vec(), &soft).context("--ids do not fit the media")
}

/// The budget that gives a picture this many soft tokens; the default comes first, and stays where none does.
fn suited(engine: &Engine, picture: &Picture, rule: SizeRule, wanted: usize) -> Result<SizeRule> {
    let (side, own) = pollster::block_on(engine.picture_side())?;
    let rule = rule.of_model(own);
    let tokens = |rule: &SizeRule| {
        let target = rule.target(picture.width(), picture.height(), side).ok()?;
        Some((target.width / side * (target.height / side)) as usize)
    };
    let all = [rule].into_iter().chain(BUDGETS.map(|budget| SizeRule::Fill { budget }));
    Ok(all.into_iter().find(|rule| tokens(rule) == Some(wanted)).unwrap_or(rule))
}

//! `--image`, `--audio` and `--mmproj`: pictures and sounds of files, for every command that shows them to a model.

use crate::model::Located;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use rullama::perception::picture::{BUDGETS, MAX_BYTES};
use rullama::perception::sound::{ENDINGS, Sound};
use rullama::{Cancel, Engine, Error, Gallery, MediaKind, MediaPart, Medium, Message, Picture, Prompt, Sense, SizeRule};
use rullama_media::MediaError;
use rullama_source::{ByteSource, FileSource, SourceError, open_path};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files to perceive, in the order of the command line, and the file of the towers.
#[derive(Debug, Clone, Default)]
pub struct MediaArguments {
    pub files: Vec<(Sense, PathBuf)>,
    pub projector: Option<PathBuf>,
    /// Soft tokens that a picture may take, where somebody said.
    pub budget: Option<u32>,
}

/// Flags of a sense.
const FLAGS: [(&str, Sense, &str); 2] = [
    ("image", Sense::Vision, "A picture (PNG, JPEG, GIF, WebP or BMP); may be given several times"),
    ("audio", Sense::Hearing, "A sound (WAV, MP3, FLAC, Ogg Vorbis, M4A or AAC) of up to 30 minutes; may be given several times"),
];

impl clap::Args for MediaArguments {
    fn augment_args(command: Command) -> Command {
        let heading = "Pictures and sounds";
        let flag = |name, help| {
            let flag = Arg::new(name).long(name).value_name("FILE").action(ArgAction::Append);
            flag.value_parser(value_parser!(PathBuf)).help(help).help_heading(heading)
        };
        let command = FLAGS.into_iter().fold(command, |command, (name, _, help)| command.arg(flag(name, help)));
        let projector = Arg::new("mmproj").long("mmproj").value_name("FILE").value_parser(value_parser!(PathBuf));
        let projector = projector.help("The file with the model's towers, where it has none of its own").help_heading(heading);
        let budget = Arg::new("image-tokens").long("image-tokens").value_name("N").value_parser(known_budget);
        let budget = budget.help("Soft tokens that a picture may take [default: 280]").help_heading(heading);
        command.arg(projector).arg(budget)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn known_budget(text: &str) -> Result<u32, String> {
    let budget: u32 = text.parse().map_err(|_| "give 70, 140, 280, 560 or 1120".to_owned())?;
    SizeRule::fill(budget).map(|_| budget).map_err(|error| error.to_string())
}

impl clap::FromArgMatches for MediaArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut files = Vec::new();
        for (name, sense, _) in FLAGS {
            let paths = matches.get_many::<PathBuf>(name).into_iter().flatten().cloned();
            let places = matches.indices_of(name).into_iter().flatten();
            files.extend(places.zip(paths).map(|(place, path)| (place, sense, path)));
        }
        files.sort_by_key(|file| file.0);
        let files = files.into_iter().map(|(_, sense, path)| (sense, path)).collect();
        let budget = matches.get_one::<u32>("image-tokens").copied();
        Ok(MediaArguments { files, projector: matches.get_one("mmproj").cloned(), budget })
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
    pub fn read(&self) -> Result<Vec<Medium>> {
        self.files.iter().map(|(sense, path)| read(*sense, path, self.rule())).collect()
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
        if !gallery.contains(&part.source) {
            gallery.insert(part.source.clone(), engine.encode(&carried(part)?, cancel).await?);
        }
    }
    Ok(gallery)
}

/// Pixels that a side of a picture's soft token stands for, in every Gemma 4.
const SIDE: u32 = 48;

/// Soft tokens of a part, by its picture or the size that it says; `None` where it says neither.
///
/// # Errors
/// What is wrong with the picture.
pub fn soft_tokens(part: &MediaPart) -> Result<Option<usize>, Error> {
    let size = match part.kind {
        MediaKind::Image if !part.source.is_empty() => Some(Picture::size_of_file(&data(part)?)?),
        MediaKind::Image => part.size,
        MediaKind::Audio | MediaKind::Video => None,
    };
    let Some((width, height)) = size else { return Ok(None) };
    let target = SizeRule::default().target(width, height, SIDE)?;
    Ok(Some((target.width / SIDE * (target.height / SIDE)) as usize))
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
        MediaKind::Video => Err(unread("a video", "is not read: give its frames as pictures")),
    }
}

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
        MediaKind::Image => Picture::size_of_file(&bytes).map(|_| ())?,
        MediaKind::Audio => Sound::check_file(&bytes)?,
        MediaKind::Video => {}
    }
    Ok(())
}

/// The bytes that a part carries.
fn data(part: &MediaPart) -> Result<Vec<u8>, Error> {
    let refused = unread;
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

/// Reads a picture or a sound.
///
/// # Errors
/// What is wrong with the file, by its name.
pub fn read(sense: Sense, path: &Path, rule: SizeRule) -> Result<Medium> {
    let named = || format!("{} cannot be used", path.display());
    match sense {
        Sense::Vision => Ok(Medium::Picture(Arc::new(Picture::decode(&bytes(path)?).with_context(named)?), rule)),
        Sense::Hearing => Ok(Medium::sound(Sound::decode(bytes(path)?).with_context(named)?)),
    }
}

/// What perceives a file of this name, if it is a picture or a sound by its ending.
pub fn sense_of_name(name: &str) -> Option<Sense> {
    let ending = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    let picture = ["png", "jpg", "jpeg", "gif", "webp", "bmp"].contains(&ending.as_str()).then_some(Sense::Vision);
    picture.or_else(|| ENDINGS.contains(&ending.as_str()).then_some(Sense::Hearing))
}

/// A file's bytes, as many as any medium may have.
fn bytes(path: &Path) -> Result<Vec<u8>> {
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
pub fn show(engine: &Engine, arguments: &MediaArguments, media: Vec<Medium>, runs: &[(Sense, usize)]) -> Result<Vec<Shown>> {
    let mut runs: Vec<(Sense, usize)> = runs.to_vec();
    let mut shown = Vec::new();
    for (medium, (sense, path)) in media.into_iter().zip(&arguments.files) {
        let place = runs.iter().position(|run| run.0 == *sense);
        let wanted = place.map(|place| runs.remove(place).1);
        let medium = match (medium, wanted, arguments.budget) {
            (Medium::Picture(picture, rule), Some(wanted), None) => {
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
    let side = pollster::block_on(engine.picture_side())?;
    let tokens = |rule: &SizeRule| {
        let target = rule.target(picture.width(), picture.height(), side).ok()?;
        Some((target.width / side * (target.height / side)) as usize)
    };
    let all = [rule].into_iter().chain(BUDGETS.map(|budget| SizeRule::Fill { budget }));
    Ok(all.into_iter().find(|rule| tokens(rule) == Some(wanted)).unwrap_or(rule))
}

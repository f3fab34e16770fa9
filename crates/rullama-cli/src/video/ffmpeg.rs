//! Frames of videos through an installed ffmpeg: one run lists when there are frames, another decodes those that are seen.

use anyhow::{Context, Result, anyhow, bail};
use rullama::perception::Picture;
use rullama::perception::picture::MAX_PIXELS;
use rullama::perception::video::{Frame, sampled};
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest time of a run.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most frames of a file: nine hours of 30 a second.
const MOST_FRAMES: usize = 1_000_000;
/// Most bytes of a line of the list.
const LONGEST_LINE: u64 = 4096;
/// Bytes that are kept of what ffmpeg complains of.
const COMPLAINT: u64 = 2048;

/// The frames that are seen of a file.
///
/// # Errors
/// No ffmpeg; a file without a video that it can read; a run that takes too long.
pub(super) fn frames(path: &Path, side: u32) -> Result<Vec<Frame>> {
    // Nothing but files is read, whatever the file names, and no file's name is taken for an address or a flag.
    let mut file = OsString::from("file:");
    file.push(path);
    let input = ["-nostdin", "-hide_banner", "-v", "error", "-protocol_whitelist", "file,pipe", "-i"].map(OsString::from);
    let input: Vec<OsString> = input.into_iter().chain([file]).collect();
    let with = |more: &[&str]| input.iter().cloned().chain(more.iter().map(OsString::from)).collect::<Vec<_>>();

    let times = Run::start(&with(&["-map", "0:v:0", "-c", "copy", "-f", "framecrc", "pipe:1"]))?.read(times)?;
    let wanted = sampled(times.len());
    let chosen: Vec<String> = wanted.iter().map(|n| format!("eq(n,{n})")).collect();
    // Frames one after the other, so that none is repeated or dropped for the sake of time.
    let filter = format!("select='{}',setpts=N/(25*TB)", chosen.join("+"));
    let count = wanted.len().to_string();
    let decode = [
        "-map",
        "0:v:0",
        "-vf",
        &filter,
        "-r",
        "25",
        "-frames:v",
        &count,
        "-pix_fmt",
        "rgb24",
        "-c:v",
        "ppm",
        "-f",
        "image2pipe",
        "pipe:1",
    ];
    let seconds: Vec<f64> = wanted.iter().map(|n| times[*n]).collect();
    Run::start(&with(&decode))?.read(|out| pictures(out, &seconds, side))
}

/// ffmpeg at work. It is ended when its time is over or nobody listens any more.
struct Run {
    child: Arc<Mutex<Child>>,
    out: ChildStdout,
    complaint: JoinHandle<String>,
    /// Tells the guard that all is read; the guard says whether it was too late.
    done: Sender<()>,
    guard: JoinHandle<bool>,
}

impl Run {
    fn start(arguments: &[OsString]) -> Result<Run> {
        let mut command = Command::new("ffmpeg");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!(
                "it is no folder of frames and no animated GIF, WebP or PNG. Other videos are read by ffmpeg, which is not installed: install it, or give the frames"
            ),
            _ => anyhow!("ffmpeg, which reads such videos, cannot be started: {error}"),
        })?;
        let (Some(out), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else { bail!("ffmpeg has no outputs") };
        let complaint = std::thread::spawn(move || {
            let (mut complaints, mut kept) = (complaints, Vec::new());
            // What is not kept is read too, or ffmpeg would wait for a reader.
            let _ = complaints.by_ref().take(COMPLAINT).read_to_end(&mut kept);
            let _ = io::copy(&mut complaints, &mut io::sink());
            String::from_utf8_lossy(&kept).into_owned()
        });
        let child = Arc::new(Mutex::new(child));
        let (done, wait) = channel::<()>();
        let guarded = child.clone();
        let guard = std::thread::spawn(move || {
            let late = wait.recv_timeout(PATIENCE).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout);
            let _ = guarded.lock().unwrap_or_else(PoisonError::into_inner).kill();
            late
        });
        Ok(Run { child, out, complaint, done, guard })
    }

    /// What `read` makes of the output.
    fn read<T>(self, read: impl FnOnce(&mut dyn BufRead) -> Result<Vec<T>>) -> Result<Vec<T>> {
        let result = read(&mut BufReader::new(self.out));
        drop(self.done);
        let late = self.guard.join().unwrap_or(false);
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        let complaint = self.complaint.join().unwrap_or_default();
        if late {
            bail!("ffmpeg takes longer than {} s for it. Cut it into shorter ones", PATIENCE.as_secs());
        }
        match result {
            Ok(all) if all.is_empty() => {
                let said: String = complaint.lines().next().unwrap_or("nothing").chars().take(200).collect();
                Err(anyhow!("ffmpeg finds no video that it can read; it says: {said}. Give another file"))
            }
            other => other,
        }
    }
}

/// When each frame is shown, in this order, in seconds since the first: the lines of `framecrc`.
fn times(out: &mut dyn BufRead) -> Result<Vec<f64>> {
    let (mut unit, mut times, mut lines) = (1.0, Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        if out.take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&line);
        if let Some(fraction) = line.strip_prefix("#tb 0:") {
            let parts = fraction.split_once('/').and_then(|(a, b)| Some((a.trim().parse::<f64>().ok()?, b.trim().parse::<f64>().ok()?)));
            unit = parts.map_or(1.0, |(a, b)| a / b);
        } else if !line.starts_with('#') {
            lines += 1;
            // Stream, decoding time, time of showing, ...
            times.extend(line.split(',').nth(2).and_then(|time| time.trim().parse::<f64>().ok()));
        }
        if lines > MOST_FRAMES {
            bail!("it has more than {MOST_FRAMES} frames. Cut it into shorter ones");
        }
    }
    let scaled = times.iter().map(|time| time * unit).filter(|time| time.is_finite());
    let mut times: Vec<f64> = scaled.collect();
    times.sort_by(f64::total_cmp);
    let first = times.first().copied().unwrap_or(0.0);
    Ok(times.into_iter().map(|time| time - first).collect())
}

/// Pictures in PPM, one after the other, as many as there are times.
fn pictures(out: &mut dyn BufRead, seconds: &[f64], side: u32) -> Result<Vec<Frame>> {
    let mut frames = Vec::new();
    for seconds in seconds {
        let Some((width, height)) = header(out)? else { break };
        let mut rgb = vec![0; width as usize * height as usize * 3];
        out.read_exact(&mut rgb).context("ffmpeg ended within a frame. Give another file")?;
        frames.push(Frame::fitted(&Picture::new(width, height, rgb)?, *seconds, side)?);
    }
    Ok(frames)
}

/// Width and height: `P6`, two numbers and 255 between white space; `None` at the end.
fn header(out: &mut dyn BufRead) -> Result<Option<(u32, u32)>> {
    let mut words = Vec::new();
    while words.len() < 4 {
        let mut word = Vec::new();
        for byte in out.take(16).bytes() {
            match byte? {
                byte if byte.is_ascii_whitespace() => break,
                byte => word.push(byte),
            }
        }
        if word.is_empty() && words.is_empty() {
            return Ok(None);
        }
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    let number = |n: usize| words[n].parse::<u32>().ok().filter(|number| *number > 0);
    match (words[0].as_str(), number(1), number(2), words[3].as_str()) {
        ("P6", Some(width), Some(height), "255") if u64::from(width) * u64::from(height) <= MAX_PIXELS => Ok(Some((width, height))),
        _ => bail!("ffmpeg gives `{}` in place of a picture of up to {MAX_PIXELS} pixels. Give another file", words.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_showing() {
        let list =
            "#software: Lavf\n#tb 0: 1/50\n#media_type 0: video\n0, -2, 100, 1, 7, 0xaa\n0, -1, 150, 1, 7, 0xbb\n0, 0, 125, 1, 7, 0xcc\n";
        assert_eq!(times(&mut list.as_bytes()).unwrap(), [0.0, 0.5, 1.0]);
        assert_eq!(times(&mut "#tb 0: 1/0\n0, 0, 1\nx".as_bytes()).unwrap(), Vec::<f64>::new());
        let endless = io::repeat(b'0');
        assert!(times(&mut BufReader::new(endless.take(1 << 16))).unwrap().is_empty());
        let many = "no time\n".repeat(MOST_FRAMES + 1);
        assert!(times(&mut many.as_bytes()).unwrap_err().to_string().contains("1000000 frames"));
    }

    #[test]
    fn pictures_are_read_up_to_the_end() {
        let mut two = b"P6\n2 1\n255\nabcdef".repeat(2);
        let frames = pictures(&mut two.as_slice(), &[0.0, 1.5, 3.0], 48).unwrap();
        assert_eq!(frames.iter().map(|frame| frame.seconds).collect::<Vec<_>>(), [0.0, 1.5]);
        two.pop();
        assert!(pictures(&mut two.as_slice(), &[0.0, 1.5], 48).unwrap_err().to_string().contains("within a frame"));
        for bad in ["P5\n2 1\n255\nabcdef", "P6\n100000 100000\n255\n", "P6\n0 1\n255\n", "moov atom not found"] {
            assert!(pictures(&mut bad.as_bytes(), &[0.0], 48).unwrap_err().to_string().contains("in place of a picture"), "{bad}");
        }
    }
}

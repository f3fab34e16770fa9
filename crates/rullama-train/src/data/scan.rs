//! Cuts a file into lines, or one JSON list into its elements, in bounded memory.

use super::{DataError, DataLimits};

/// Something that may be an example, by its number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Line {
        line: u32,
        bytes: Vec<u8>,
    },
    Blank {
        line: u32,
    },
    TooLong {
        line: u32,
    },
    /// A list begins: its elements are counted, and no line before it.
    List,
    /// What looked like a list of examples was line `line`, so that nothing counts of what was given since; the
    /// lines before it are blank.
    NoList {
        line: u32,
    },
}

/// What a file begins with that is no text.
const BINARY: [(&[u8], &str); 9] = [
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"GGUF", "a model"),
    (b"%PDF", "a PDF"),
    (b"SQLite", "a database"),
];

/// Bytes looked at before the rest is read: the longest beginning above, and a mark of the encoding.
const HEAD: usize = 8;

enum Mode {
    /// Collects [`HEAD`] bytes.
    Head,
    /// Before the first byte that is not blank.
    Start,
    Lines,
    List {
        depth: u32,
        string: bool,
        escaped: bool,
        from: u32,
    },
    /// Behind the list; `one` while it may be a line of its own.
    Behind {
        from: u32,
        one: bool,
    },
}

pub(super) struct Scanner {
    mode: Mode,
    limit: usize,
    lines: u32,
    bytes_left: u64,
    bytes_limit: u64,
    buffer: Vec<u8>,
    too_long: bool,
    /// The current line of the file, from 1.
    line: u32,
    /// Elements of a list so far.
    elements: u32,
    /// Read before what is pushed next, from `pending_at` on.
    pending: Vec<u8>,
    pending_at: usize,
}

fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl Scanner {
    pub(super) fn new(limits: &DataLimits) -> Self {
        Scanner {
            mode: Mode::Head,
            limit: limits.line,
            lines: limits.lines,
            bytes_left: limits.bytes,
            bytes_limit: limits.bytes,
            buffer: Vec::new(),
            too_long: false,
            line: 1,
            elements: 0,
            pending: Vec::new(),
            pending_at: 0,
        }
    }

    /// The next unit of `rest`, which loses what was read; none when all of it was.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Result<Option<Unit>, DataError> {
        if matches!(self.mode, Mode::Head) {
            while self.pending.len() < HEAD
                && let Some((&byte, after)) = rest.split_first()
            {
                self.pending.push(byte);
                *rest = after;
            }
            if self.pending.len() < HEAD {
                return Ok(None);
            }
            self.begin()?;
        }
        if !self.pending.is_empty() {
            let unit = self.scan_pending()?;
            if unit.is_some() {
                return Ok(unit);
            }
        }
        self.scan(rest)
    }

    /// Units that are left when nothing follows.
    pub(super) fn finish(&mut self) -> Result<Option<Unit>, DataError> {
        if matches!(self.mode, Mode::Head) {
            self.begin()?;
        }
        if let Some(unit) = self.next(&mut &[][..])? {
            return Ok(Some(unit));
        }
        match self.mode {
            Mode::List { .. } => Err(DataError::ListCut),
            Mode::Lines if !self.buffer.is_empty() || self.too_long => Ok(Some(self.end_line()?)),
            _ => Ok(None),
        }
    }

    /// Looks at the first bytes.
    fn begin(&mut self) -> Result<(), DataError> {
        let head = &self.pending;
        if let Some((_, what)) = BINARY.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(DataError::NotText { what });
        }
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(DataError::NotText { what: "in UTF-16" });
        }
        if head.contains(&0) {
            return Err(DataError::NotText { what: "a binary file" });
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            self.pending.drain(..3);
        }
        self.mode = Mode::Start;
        Ok(())
    }

    fn scan_pending(&mut self) -> Result<Option<Unit>, DataError> {
        let pending = std::mem::take(&mut self.pending);
        let mut left = &pending[std::mem::take(&mut self.pending_at)..];
        let unit = self.scan(&mut left)?;
        if !self.pending.is_empty() {
            // Something was put before it.
            self.pending.extend_from_slice(left);
        } else if !left.is_empty() {
            self.pending_at = pending.len() - left.len();
            self.pending = pending;
        }
        Ok(unit)
    }

    fn scan(&mut self, rest: &mut &[u8]) -> Result<Option<Unit>, DataError> {
        while let Some(&byte) = rest.first() {
            let unit = match self.mode {
                Mode::Head | Mode::Lines => self.line(rest)?,
                Mode::Start if blank(byte) => {
                    self.take(rest, 1)?;
                    if byte == b'\n' { Some(self.end_line()?) } else { None }
                }
                Mode::Start if byte == b'[' => {
                    self.take(rest, 1)?;
                    self.mode = Mode::List { depth: 1, string: false, escaped: false, from: self.line };
                    Some(Unit::List)
                }
                Mode::Start => {
                    self.mode = Mode::Lines;
                    None
                }
                Mode::List { .. } => {
                    self.take(rest, 1)?;
                    self.list(byte)?
                }
                Mode::Behind { from, one } => {
                    if blank(byte) {
                        self.take(rest, 1)?;
                        self.line += u32::from(byte == b'\n');
                        self.within(self.line - 1)?;
                        None
                    } else if one {
                        Some(self.no_list(from))
                    } else {
                        return Err(DataError::BehindList { line: self.line });
                    }
                }
            };
            if unit.is_some() {
                return Ok(unit);
            }
        }
        Ok(None)
    }

    fn take(&mut self, rest: &mut &[u8], bytes: usize) -> Result<(), DataError> {
        *rest = &rest[bytes..];
        self.bytes_left = self.bytes_left.checked_sub(bytes as u64).ok_or(DataError::TooLarge { most: self.bytes_limit, what: "bytes" })?;
        Ok(())
    }

    /// A line's bytes, up to its end or that of `rest`.
    fn line(&mut self, rest: &mut &[u8]) -> Result<Option<Unit>, DataError> {
        let end = rest.iter().position(|&byte| byte == b'\n');
        let part = &rest[..end.unwrap_or(rest.len())];
        self.keep(part);
        self.take(rest, part.len() + usize::from(end.is_some()))?;
        if end.is_some() { Ok(Some(self.end_line()?)) } else { Ok(None) }
    }

    fn keep(&mut self, part: &[u8]) {
        self.too_long |= self.buffer.len() + part.len() > self.limit;
        if self.too_long {
            self.buffer = Vec::new();
        } else {
            self.buffer.extend_from_slice(part);
        }
    }

    fn within(&self, line: u32) -> Result<(), DataError> {
        if line <= self.lines { Ok(()) } else { Err(DataError::TooLarge { most: self.lines.into(), what: "lines" }) }
    }

    fn end_line(&mut self) -> Result<Unit, DataError> {
        let line = self.line;
        self.line += 1;
        self.unit(line)
    }

    /// What was kept, under its number.
    fn unit(&mut self, line: u32) -> Result<Unit, DataError> {
        self.within(line)?;
        let bytes = std::mem::take(&mut self.buffer);
        Ok(match std::mem::take(&mut self.too_long) {
            true => Unit::TooLong { line },
            false if bytes.iter().all(|&byte| blank(byte)) => Unit::Blank { line },
            false => Unit::Line { line, bytes },
        })
    }

    /// A byte of a list: elements end at commas outside of strings and brackets.
    fn list(&mut self, byte: u8) -> Result<Option<Unit>, DataError> {
        let Mode::List { depth, string, escaped, from } = &mut self.mode else { return Ok(None) };
        self.line += u32::from(byte == b'\n');
        let in_string = *string;
        match byte {
            _ if *escaped => *escaped = false,
            b'\\' if in_string => *escaped = true,
            b'"' => *string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => *depth += 1,
            b'}' | b']' if *depth > 1 => *depth -= 1,
            b',' if *depth == 1 => return self.element().map(Some),
            b']' => {
                self.mode = Mode::Behind { from: *from, one: *from == self.line };
                let last = self.too_long || !self.buffer.iter().all(|&byte| blank(byte));
                return if last { self.element().map(Some) } else { Ok(None) };
            }
            _ => {}
        }
        self.keep(&[byte]);
        Ok(None)
    }

    fn element(&mut self) -> Result<Unit, DataError> {
        self.elements += 1;
        self.unit(self.elements)
    }

    /// The list was a line among others, which is given as one that is no object.
    fn no_list(&mut self, from: u32) -> Unit {
        self.mode = Mode::Lines;
        // What follows it on its own line belongs to it.
        let line = if self.line == from { b"[] []".to_vec() } else { b"[]\n".to_vec() };
        let blank_lines = self.line.saturating_sub(from + 1);
        self.line = from;
        self.pending = [line, vec![b'\n'; blank_lines as usize]].concat();
        Unit::NoList { line: from }
    }
}

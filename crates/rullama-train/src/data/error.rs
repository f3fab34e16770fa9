/// Why a file as a whole is no use. What is wrong with single lines is in [`LineReport`](super::LineReport)s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    #[error(
        "the data is {what}, not text. Write it as JSONL in UTF-8: one JSON object a line, with `messages`, `prompt` and `completion`, or `text`"
    )]
    NotText { what: &'static str },
    #[error(
        "none of {lines} lines is an example. Line {line}: {reason}. Each line is a JSON object with `messages`, `prompt` and `completion`, or `text`"
    )]
    NoExamples { lines: u32, line: u32, reason: String },
    #[error("the data is empty. Each line of it is a JSON object with `messages`, `prompt` and `completion`, or `text`")]
    Empty,
    #[error("the data has more than {most} {what}. Split it, or train on a part of it")]
    TooLarge { most: u64, what: &'static str },
    #[error("more data stands behind the end of the list, in line {line}. Write one JSON list, or one JSON object a line")]
    BehindList { line: u32 },
    #[error("the list that begins in line 1 does not end: the file is cut off. Get the whole of it, or write one JSON object a line")]
    ListCut,
    #[error("the evaluation split needs at least two examples, and there is {examples}. Add examples, or set `split` to 0")]
    TooFewToSplit { examples: usize },
    #[error("the example of line {line} has {tokens} tokens, more than a row's {most}. Raise `max_len`")]
    LongerThanRow { line: u32, tokens: usize, most: u32 },
    #[error("reading the data failed: {0}. Check that the file is still there")]
    Io(#[from] std::io::Error),
}

//! Models in several files: found by name on disk and on a server, joined, and what is refused.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use crate::common::{every_value, file_of, split_keys};
use rullama_source::{
    ByteSource, HttpOptions, JoinedSource, MemorySource, SourceError,
    gguf::{Gguf, GgufError, MAX_PARTS, Metadata, MetadataError, PartName, Value, in_order},
    open_path, open_url,
};

/// A model of seven tensors in three files.
fn parts() -> Vec<Vec<u8>> {
    let keys = |metadata, number| split_keys(metadata, number, 3, 7);
    vec![
        file_of(keys(every_value(), 0), 0, &[5, 9, 2]),
        file_of(keys(Metadata::default(), 1), 3, &[1]),
        file_of(keys(Metadata::default(), 2), 4, &[8, 3, 4]),
    ]
}

fn joined(parts: &[Vec<u8>]) -> JoinedSource {
    let part = |(i, bytes): (usize, &Vec<u8>)| Arc::new(MemorySource::new(format!("part {}", i + 1), bytes.clone())) as Arc<dyn ByteSource>;
    JoinedSource::new(parts.iter().enumerate().map(part).collect())
}

fn open(source: &dyn ByteSource) -> Result<Gguf, GgufError> {
    pollster::block_on(Gguf::open(source))
}

/// All seven tensors with their own values, and no key of the split.
fn check_whole(source: &dyn ByteSource) {
    let file = open(source).unwrap();
    assert_eq!(file.tensors.len(), 7);
    assert_eq!(file.metadata, every_value());
    for (i, len) in [5, 9, 2, 1, 8, 3, 4].into_iter().enumerate() {
        let range = file.tensors.require(&format!("t{i}")).unwrap().range.clone();
        let bytes = pollster::block_on(source.read(range.start, (range.end - range.start) as usize)).unwrap();
        assert_eq!(bytes, (i as f32).to_le_bytes().repeat(len), "t{i}");
    }
}

fn parts_make_one_model() {
    check_whole(&joined(&parts()));
}

fn parts_chosen_together_are_put_in_their_order() {
    let sources = |order: &[usize]| -> Vec<Arc<dyn ByteSource>> {
        order.iter().map(|i| Arc::new(MemorySource::new(format!("sha256-{i}"), parts()[*i].clone())) as _).collect()
    };
    let joined = |order: &[usize]| JoinedSource::new(pollster::block_on(in_order(sources(order))).unwrap());
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        check_whole(&joined(&order));
    }
    assert!(matches!(open(&joined(&[2, 0])).unwrap_err(), GgufError::MissingParts { missing, .. } if missing == [2]));
    assert!(matches!(open(&joined(&[2, 1, 1])).unwrap_err(), GgufError::ForeignPart { .. }));
    let many = pollster::block_on(in_order(vec![sources(&[1]).remove(0); MAX_PARTS as usize + 1]));
    assert!(matches!(many.map(|_| ()).unwrap_err(), GgufError::TooLarge { .. }));
}

fn any_part_on_disk_stands_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("modèl-q4-{number:05}-of-00003.gguf"));
    for (i, part) in parts().iter().enumerate() {
        std::fs::write(path(i + 1), part).unwrap();
    }
    for number in 1..=3 {
        check_whole(&*open_path(path(number)).unwrap());
    }
    std::fs::rename(path(2), folder.path().join("elsewhere.gguf")).unwrap();
    let error = open_path(path(3)).map(|_| ()).unwrap_err();
    assert!(matches!(&error, GgufError::MissingParts { number: 3, count: 3, missing, .. } if *missing == [2]));
    assert!(error.to_string().contains("part 3 of 3 of a split model") && error.to_string().contains("00002-of-00003"), "{error}");
    // Under another name a part says what it is.
    let alone = open_path(folder.path().join("elsewhere.gguf")).unwrap();
    let error = open(&*alone).unwrap_err();
    assert!(error.to_string().contains("part 2 of 3 of a split model (split.count); parts 1 and 3 are missing"), "{error}");
    // A whole model under the name of a part is what it is.
    std::fs::write(path(1), file_of(every_value(), 0, &[4])).unwrap();
    assert_eq!(open(&*open_path(path(1)).unwrap()).unwrap().tensors.len(), 1);
    // Parts that change places are told.
    std::fs::write(path(1), &parts()[1]).unwrap();
    assert!(matches!(open_path(path(1)).map(|_| ()).unwrap_err(), GgufError::ForeignPart { .. }));
}

/// Serves files by their path, with ranges; everything else is 404.
fn server(files: HashMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let files = files.clone();
            thread::spawn(move || while answer(&stream, &files).is_some() {});
        }
    });
    url
}

fn answer(mut stream: &TcpStream, files: &HashMap<String, Vec<u8>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let address = lines.next()?.split(' ').nth(1)?.to_owned();
    let mut range = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some((first, last)) = line.to_ascii_lowercase().strip_prefix("range: bytes=").and_then(|range| range.split_once('-')) {
            range = Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?));
        }
    }
    let Some(file) = files.get(&address) else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").ok();
    };
    let (first, last) = range?;
    let (body, len) = (&file[first..=last], file.len());
    write!(stream, "HTTP/1.1 206 X\r\ncontent-range: bytes {first}-{last}/{len}\r\ncontent-length: {}\r\n\r\n", body.len()).ok()?;
    stream.write_all(body).ok()
}

fn any_part_at_an_address_stands_for_all() {
    let address = |number: usize| format!("/org/repo/resolve/main/m-{number:05}-of-00003.gguf?download=true");
    let mut files: HashMap<String, Vec<u8>> = parts().into_iter().enumerate().map(|(i, part)| (address(i + 1), part)).collect();
    let url = server(files.clone());
    for number in 1..=3 {
        check_whole(&*open_url(&format!("{url}{}", address(number)), &HttpOptions::default()).unwrap());
    }
    files.remove(&address(2));
    files.remove(&address(3));
    let url = server(files);
    let error = open_url(&format!("{url}{}", address(1)), &HttpOptions::default()).map(|_| ()).unwrap_err();
    assert!(matches!(&error, GgufError::MissingParts { number: 1, missing, .. } if *missing == [2, 3]), "{error}");
}

/// Parts after a change to one of them.
fn changed(at: usize, bytes: Vec<u8>) -> GgufError {
    let mut parts = parts();
    parts[at] = bytes;
    open(&joined(&parts)).unwrap_err()
}

fn parts_that_contradict_each_other() {
    let part = |metadata: Metadata, first: usize| file_of(metadata, first, &[1]);
    let keys = |number, count, tensors| split_keys(Metadata::default(), number, count, tensors);
    for (name, bytes) in [
        ("the wrong place", part(keys(2, 3, 7), 3)),
        ("another number of parts", part(keys(1, 4, 7), 3)),
        ("no part at all", part(Metadata::default(), 3)),
        ("another number of tensors", part(keys(1, 3, 8), 3)),
        ("another model", {
            let mut other = keys(1, 3, 7);
            other.set("general.architecture", Value::String("llama".into()));
            part(other, 3)
        }),
    ] {
        let error = changed(1, bytes);
        assert!(matches!(&error, GgufError::ForeignPart { name, .. } if name == "part 2"), "{name}: {error:?}");
    }
    assert!(matches!(changed(1, part(keys(1, 3, 7), 0)), GgufError::Duplicate { name, .. } if name == "t0"));
    let more = file_of(keys(1, 3, 7), 100, &[1, 1]);
    assert!(matches!(changed(1, more), GgufError::SplitTensors { expected: 7, found: 8, .. }));
    let cut = parts()[2][..parts()[2].len() - 32].to_vec();
    assert!(matches!(changed(2, cut), GgufError::Truncated { .. }));
    let mut two = parts();
    two.pop();
    assert!(matches!(open(&joined(&two)).unwrap_err(), GgufError::MissingParts { missing, .. } if missing == [3]));
    // The last part twice is no way to make up for the second.
    let twice = [&parts()[..1], &parts()[2..], &parts()[2..]].concat();
    assert!(matches!(open(&joined(&twice)).unwrap_err(), GgufError::ForeignPart { .. }));
}

fn counts_that_lie() {
    let alone = |number: u32, count: Value| {
        let mut metadata = every_value();
        metadata.set("split.no", Value::U32(number));
        metadata.set("split.count", count);
        open(&MemorySource::new("x", file_of(metadata, 0, &[1]))).unwrap_err()
    };
    for (number, count) in
        [(3, Value::U16(3)), (u32::MAX, Value::U32(2)), (0, Value::U32(u32::MAX)), (7, Value::U16(1)), (0, Value::I32(-2))]
    {
        let error = alone(number, count);
        assert!(matches!(error, GgufError::Metadata(MetadataError::OutOfRange { .. })), "{error:?}");
    }
    let error = alone(0, Value::String("two".into()));
    assert!(matches!(error, GgufError::Metadata(MetadataError::WrongType { .. })), "{error:?}");
    let whole = split_keys(every_value(), 0, 1, 1);
    assert!(open(&MemorySource::new("x", file_of(whole, 0, &[1]))).is_ok());
}

fn names_of_parts() {
    let name = PartName::parse("https://h/m-00002-of-00010.gguf?sig=a").unwrap();
    assert_eq!((name.number, name.count, name.with(10)), (2, 10, "https://h/m-00010-of-00010.gguf?sig=a".to_owned()));
    assert_eq!(PartName::parse("dir/a b-00001-of-00002.GGUF").unwrap().with(2), "dir/a b-00002-of-00002.GGUF");
    for other in [
        "m.gguf",
        "m-00000-of-00002.gguf",
        "m-00003-of-00002.gguf",
        "m-00001-of-00001.gguf",
        "m-1-of-2.gguf",
        "",
        "ß.gguf",
        "00001-of-00002.gguf",
    ] {
        assert_eq!(PartName::parse(other), None, "{other}");
    }
    assert!(matches!(open_path("/nonexistent-00001-of-00002.gguf").map(|_| ()).unwrap_err(), GgufError::Source(SourceError::Open { .. })));
}

rullama_testing::tests! {
    parts_make_one_model,
    parts_chosen_together_are_put_in_their_order,
    any_part_on_disk_stands_for_all,
    any_part_at_an_address_stands_for_all,
    parts_that_contradict_each_other,
    counts_that_lie,
    names_of_parts,
}

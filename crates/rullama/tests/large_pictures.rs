//! Pictures of 560 and 1,120 soft tokens in a model that sees a picture both ways, and so in one step, against transformers
//! (`tools/sight-reference/golden.py`).

use crate::senses::{LOGITS_BOUND, STAGE_BOUND, Tensors, close, engine, json, likeliest, numbers, prompt};
use rullama::{Cancel, Engine, GenerateOptions, Medium, Picture, Prompt, Sampling, Session, SizeRule};
use serde_json::Value;
use std::sync::Arc;

const BUDGETS: [u32; 2] = [1120, 560];
const SIDE: u32 = 48;

/// Each soft token's own colour, and noise: as the script paints it.
fn painted(columns: u32, rows: u32) -> Picture {
    let value = |x: u32, y: u32, c: u32| {
        let mixed = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ c.wrapping_mul(83_492_791);
        let noise = mixed.wrapping_mul(2_654_435_761) >> 25;
        (((x / SIDE * 37 + y / SIDE * 59 + c * 101) & 127) + noise) as u8
    };
    let (width, height) = (columns * SIDE, rows * SIDE);
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Picture::new(width, height, places.flat_map(|(x, y)| [0, 1, 2].map(|c| value(x, y, c))).collect()).unwrap()
}

/// The engine, the pictures, and a prompt with both, of which the tests know what follows.
struct Given {
    engine: Engine,
    media: Vec<Medium>,
    tensors: Tensors,
    about: Value,
    prompt: Prompt,
}

fn given() -> Given {
    let engine = engine("models/unified-f16.gguf", Some("models/mmproj-unified-f16.gguf"));
    let (tensors, about) = (Tensors::read("mm/large.safetensors"), json("mm/large.json"));
    let media: Vec<Medium> = about["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .zip(BUDGETS)
        .map(|(size, budget)| {
            let [columns, rows] = numbers(size)[..] else { panic!("{size}") };
            Medium::Picture(Arc::new(painted(columns, rows)), SizeRule::fill(budget).unwrap())
        })
        .collect();
    let runs = about["runs"].as_array().unwrap().iter().map(numbers);
    let prompt = prompt(&engine, runs.flat_map(|run| vec![run[0]; run[1] as usize]).collect(), &media);
    Given { engine, media, tensors, about, prompt }
}

impl Given {
    fn session(&self) -> Session {
        pollster::block_on(self.engine.session()).unwrap()
    }

    /// The prompt with the answer and the next turn behind it.
    fn next(&self) -> Prompt {
        let ids = [self.prompt.ids().to_vec(), numbers(&self.about["greedy"]), numbers(&self.about["next"])].concat();
        prompt(&self.engine, ids, &self.media)
    }

    /// Asks for as many tokens as are known: whether they are those, and how many of the prompt's had to be computed.
    fn ask(&self, session: &mut Session, prompt: &Prompt, want: &str) -> usize {
        let want = numbers(&self.about[want]);
        let options =
            GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(want.len() as u32), ignore_eos: true, ..Default::default() };
        let answer = pollster::block_on(session.generate_prompt(prompt, &options, &Cancel::new(), &mut |_| ())).unwrap();
        assert_eq!(answer.ids, want);
        answer.timings.prefilled_tokens as usize
    }
}

fn logits_agree() {
    let given = given();
    for (i, medium) in given.media.iter().enumerate() {
        let soft = pollster::block_on(given.engine.encode(medium, &Cancel::new())).unwrap();
        assert_eq!(soft.rows(), BUDGETS[i] as usize);
        let row = |at: usize| &soft.values[at * soft.dim as usize..][..soft.dim as usize];
        let some = [row(0), row(soft.rows() / 2), row(soft.rows() - 1)].concat();
        close(&format!("soft tokens of picture {i}"), &some, given.tensors.get(&format!("soft_tokens.{i}")), STAGE_BOUND);
    }
    let mut session = given.session();
    let evaluation = pollster::block_on(session.evaluate_prompt(&given.prompt, &Cancel::new())).unwrap();
    let row = |at: usize| evaluation.row("logits", at).unwrap();
    let some: Vec<f32> = numbers(&given.about["logits_at"]).iter().flat_map(|at| row(*at as usize)).copied().collect();
    close("logits", &some, given.tensors.get("logits"), LOGITS_BOUND);
    let wrong = given.tensors.numbers("argmax").iter().enumerate().filter(|(at, want)| likeliest(row(*at)) != **want).count();
    assert_eq!(wrong, 0, "the likeliest token differs at {wrong} of {} positions", given.prompt.len());
}

fn conversations_go_on() {
    let given = given();
    let mut session = given.session();
    let small = session.bytes();
    assert_eq!(given.ask(&mut session, &given.prompt, "greedy"), given.prompt.len());
    let grown = session.bytes();
    assert!(grown > small, "rings grow for a large picture: {grown} bytes after {small}");
    // The next turn computes its own tokens, and the answer's last.
    let next = given.next();
    let few = next.len() - given.prompt.len();
    let computed = given.ask(&mut session, &next, "next_greedy");
    assert!(computed < few, "{computed} of {} tokens were computed", next.len());
    assert_eq!(session.bytes(), grown);
    // Back again, into what the rings still hold.
    assert_eq!(given.ask(&mut session, &given.prompt, "greedy"), 1);
    // And into the second picture, which they hold, but which is seen whole or not at all.
    let inside = given.prompt.len() as u32 - 100;
    pollster::block_on(session.truncate(inside)).unwrap();
    assert_eq!(given.ask(&mut session, &given.prompt, "greedy"), given.prompt.len() - 1129);
    // Farther than they reach: computed anew.
    pollster::block_on(session.truncate(100)).unwrap();
    assert_eq!(session.position(), 100);
    assert_eq!(given.ask(&mut session, &given.prompt, "greedy"), given.prompt.len() - 4);
}

/// A text that fills the rings, before the picture that makes them grow.
fn rings_grow_in_the_middle_of_a_conversation() {
    let given = given();
    let words: Vec<u32> = (0..900).map(|i| 300 + i * 7 % 1600).collect();
    // Up to the second picture.
    let one = &given.prompt.ids()[..1128];
    let whole = prompt(&given.engine, [&words, one].concat(), &given.media[..1]);
    let logits = |session: &mut Session, prompt: &Prompt| {
        let mut evaluation = pollster::block_on(session.evaluate_prompt(prompt, &Cancel::new())).unwrap();
        evaluation.matrices.remove("logits").unwrap()
    };
    let mut session = given.session();
    let small = session.bytes();
    logits(&mut session, &Prompt::from(&words[..]));
    assert_eq!(session.bytes(), small, "for text alone rings stay short");
    let got = logits(&mut session, &whole);
    assert!(session.bytes() > small);
    // Now the rings are long from the start, so that nothing moves.
    close("logits", &got, &logits(&mut session, &whole), LOGITS_BOUND);
}

fn sessions_are_saved_whatever_their_rings() {
    let given = given();
    let mut session = given.session();
    given.ask(&mut session, &given.prompt, "greedy");
    let saved = pollster::block_on(session.save()).unwrap();
    let next = given.next();
    let few = next.len() - given.prompt.len();
    // Into a session whose rings are short, and into one whose rings have grown.
    let mut other = given.session();
    for _ in 0..2 {
        pollster::block_on(other.restore(&saved)).unwrap();
        assert!(given.ask(&mut other, &next, "next_greedy") < few);
    }
    let mut fork = pollster::block_on(session.fork()).unwrap();
    assert!(given.ask(&mut fork, &next, "next_greedy") < few);
    // Short rings into grown ones.
    let words = Prompt::from((0..1300).map(|i| 300 + i * 7 % 1600).collect::<Vec<u32>>());
    let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(6), ignore_eos: true, ..Default::default() };
    let ask = |session: &mut Session| {
        let answer = pollster::block_on(session.generate_prompt(&words, &options, &Cancel::new(), &mut |_| ())).unwrap();
        (answer.ids, answer.timings.prefilled_tokens)
    };
    let mut short = given.session();
    let (want, _) = ask(&mut short);
    let text = pollster::block_on(short.save()).unwrap();
    assert!(text.len() < saved.len());
    pollster::block_on(other.restore(&text)).unwrap();
    assert_eq!(ask(&mut other), (want, 1));
    // Past what the short ones held nothing is taken for held.
    pollster::block_on(other.restore(&text)).unwrap();
    pollster::block_on(other.truncate(400)).unwrap();
    let few = Prompt::from(&words.ids()[..402]);
    let few = |session: &mut Session| pollster::block_on(session.greedy_prompt(&few, 8)).unwrap();
    assert_eq!(few(&mut other), few(&mut given.session()));
}

fn more_than_any_picture_is_refused() {
    let given = given();
    let soft = rullama::SoftTokens::new(rullama::Sense::Vision, 128, vec![0.5; 1153 * 128]).unwrap();
    let placeholder = given.prompt.ids()[10];
    let long = Prompt::new(&given.engine, vec![placeholder; 1153], &[Arc::new(soft)]).unwrap();
    let refused = pollster::block_on(given.session().evaluate_prompt(&long, &Cancel::new())).unwrap_err();
    assert!(refused.to_string().contains("1153 soft tokens in a row"), "{refused}");
}

rullama_testing::tests! {
    logits_agree, conversations_go_on, rings_grow_in_the_middle_of_a_conversation, sessions_are_saved_whatever_their_rings,
    more_than_any_picture_is_refused,
}

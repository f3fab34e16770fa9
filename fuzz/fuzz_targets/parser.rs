#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rullama_fuzz::parser(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    rullama_fuzz::replay(rullama_fuzz::parser)
}

//! The tests of this crate, in one program.

mod calls;
mod counts;
mod demo_model;
mod drafter;
mod embed;
mod expert_streaming;
mod experts;
mod format;
mod golden;
mod hearing;
mod kv_q8;
mod large_pictures;
mod rows;
mod senses;
mod sequence;
mod session;
mod sessions;
mod speculation;
mod typescript;
mod variants;
mod vision;

rullama_testing::files! {
    calls,
    counts,
    demo_model,
    drafter,
    embed,
    expert_streaming,
    experts,
    format,
    golden,
    hearing,
    kv_q8,
    large_pictures,
    rows,
    sequence,
    session,
    sessions,
    speculation,
    typescript,
    variants,
    vision,
}

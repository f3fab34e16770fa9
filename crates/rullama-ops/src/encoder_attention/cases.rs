use super::EncoderAttention;
use crate::case::Case;

/// Head sizes and groupings, one text and many, across tiles, with padding, radii below and above a tile and a text.
pub fn cases() -> Vec<Case> {
    let of = |heads, kv_heads, head_dim, radius| EncoderAttention { heads, kv_heads, head_dim, radius, scale: (head_dim as f32).sqrt().recip() };
    vec![
        of(1, 1, 32, None).case(&[1], 0),
        of(3, 1, 64, Some(8)).case(&[2, 6, 38], 2).strided(),
        of(3, 1, 64, None).case(&[31, 2, 40], 7),
        of(4, 2, 96, Some(0)).case(&[5, 33], 0),
        of(4, 2, 96, Some(31)).case(&[100], 4).strided(),
        of(2, 2, 128, Some(1000)).case(&[40, 7], 17),
        of(3, 1, 256, Some(40)).case(&[150, 3, 20], 19),
        of(2, 1, 512, None).case(&[40, 5], 3).strided(),
        of(2, 1, 64, Some(4)).case(&[], 40),
    ]
}

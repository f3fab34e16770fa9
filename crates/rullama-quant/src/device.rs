//! The device layout read back one element at a time: the plain definition of every packing,
//! which the tests hold `repack` against. It shares no code with the packing itself.

use half::f16;

use crate::Layout;

/// A whole device buffer.
pub(crate) struct Device<'a> {
    pub words: &'a [u32],
    pub planes: [u32; 4],
}

impl Device<'_> {
    /// 32-bit word `i` of a plane.
    pub fn word(&self, plane: usize, i: usize) -> u32 {
        self.words[self.planes[plane] as usize + i]
    }

    /// 16-bit unit `i` of a plane, two a word, low half first.
    pub fn short(&self, plane: usize, i: usize) -> u16 {
        (self.word(plane, i / 2) >> (16 * (i % 2))) as u16
    }

    /// Byte `i` of a plane.
    pub fn byte(&self, plane: usize, i: usize) -> u8 {
        (self.word(plane, i / 4) >> (8 * (i % 4))) as u8
    }

    /// 16-bit float `i` of a plane.
    pub fn half(&self, plane: usize, i: usize) -> f32 {
        f16::from_bits(self.short(plane, i)).to_f32()
    }

    /// 4-bit code of plane 0: word e/8 of the group, byte e%4, high nibble for e%8 >= 4.
    pub fn nibble(&self, g: usize, e: usize) -> i32 {
        let shift = 8 * (e % 4) + if e % 8 >= 4 { 4 } else { 0 };
        (self.word(0, 4 * g + e / 8) >> shift & 15) as i32
    }

    /// 2-bit code: word e/16 of the group, byte e%4, bits 2k with k = (e%16)/4.
    pub fn pair(&self, plane: usize, g: usize, e: usize) -> i32 {
        let shift = 8 * (e % 4) + 2 * (e % 16 / 4);
        (self.word(plane, 2 * g + e / 16) >> shift & 3) as i32
    }

    /// 1-bit code: bit e of the group's word.
    pub fn bit(&self, plane: usize, g: usize, e: usize) -> i32 {
        (self.word(plane, g) >> e & 1) as i32
    }
}

/// Values `[rows, cols]` of a whole device buffer.
pub(crate) fn unpack(layout: &Layout, words: &[u32]) -> Vec<f32> {
    let device = Device { words, planes: layout.planes() };
    let element = layout.dtype().format().element;
    let values = layout.rows() * layout.cols();
    (0..values).map(|i| element(&device, i / 32, i % 32)).collect()
}

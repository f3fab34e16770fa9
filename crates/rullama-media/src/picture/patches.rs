//! Squares of pixels.

use super::Picture;

/// A picture's patches, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patches {
    /// Patches in a row, and rows.
    pub grid: (u32, u32),
    /// Pixels of a side.
    pub size: u32,
    /// `[patches, size * size * 3]`: inside a patch by y, x, channel.
    pub values: Vec<u8>,
}

impl Patches {
    /// Cuts a picture whose sides are multiples of `size`; what is left over is left out.
    pub fn cut(picture: &Picture, size: u32) -> Patches {
        let grid = (picture.width() / size, picture.height() / size);
        let (line, side) = (picture.width() as usize * 3, size as usize);
        let mut values = Vec::with_capacity(picture.rgb().len());
        for py in 0..grid.1 as usize {
            for px in 0..grid.0 as usize {
                for y in 0..side {
                    let at = (py * side + y) * line + px * side * 3;
                    values.extend_from_slice(&picture.rgb()[at..at + side * 3]);
                }
            }
        }
        Patches { grid, size, values }
    }

    pub fn len(&self) -> usize {
        self.grid.0 as usize * self.grid.1 as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values of a patch.
    pub fn cols(&self) -> usize {
        (self.size * self.size * 3) as usize
    }

    /// The values in 0 ..= 1, as a processor gives them.
    pub fn scaled(&self) -> Vec<f32> {
        self.values.iter().map(|value| f32::from(*value) / 255.0).collect()
    }
}

//! The input of 12B: patches go to the text model without an encoder.

use super::super::towers::{Builder, TowerFile};
use super::{budget, by_channel, positions, side};
use crate::ModelError;
use crate::tower::{Features, Sense, Tower, TowerStep, Wants};
use crate::weights::{Specs, Table};
use rullama_ops::Words;

/// Of the layer norms; the norm before the projection has the file's.
const LAYER_NORM_EPS: f32 = 1e-5;
const PROJECTION: &str = "mm.input_projection";
const PLACES: &str = "v.position_embd.weight";
const ONES: &str = "v.ones";

/// A patch embedding as a file describes it.
#[derive(Debug)]
pub(super) struct PatchTower {
    patch: u32,
    budget: u32,
    dim: u32,
    places: u32,
    eps: f32,
    specs: Specs,
}

impl PatchTower {
    pub fn read(mut file: TowerFile, text_dim: u32) -> Result<Self, ModelError> {
        let embedding = file.find("v.patch_embd.weight")?;
        let (values, dim) = (embedding.cols(), embedding.rows());
        let patch = side(values).ok_or_else(|| file.bad("vision.patch_size", values, "values a patch are no square of pixels"))?;
        let dim = u32::try_from(dim).ok().filter(|dim| (4..=1 << 16).contains(dim) && dim.is_multiple_of(4));
        let dim = dim.ok_or_else(|| file.bad("vision.embedding_length", embedding.rows(), "is no multiple of 4 up to 65536"))?;
        let places = file.find(PLACES)?.dims.get(1).copied().unwrap_or(0) as u32;
        file.matrix("v.patch_embd", values as u32, dim)?;
        file.vector("v.patch_embd.bias", dim)?;
        for (norm, cols) in [(1, values as u32), (2, dim), (3, dim)] {
            file.vector(&format!("v.patch_norm.{norm}.weight"), cols)?;
            file.vector(&format!("v.patch_norm.{norm}.bias"), cols)?;
        }
        file.table(PLACES, &[dim.into(), places.into(), 2], false)?;
        file.projection(PROJECTION, dim, text_dim)?;
        let eps = file.eps_or("vision.attention.layer_norm_epsilon", 1e-6)?;
        let budget = budget(&file, patch)?;
        Ok(PatchTower { patch, budget, dim, places, eps, specs: file.specs })
    }
}

impl Tower for PatchTower {
    fn sense(&self) -> Sense {
        Sense::Vision
    }

    fn wants(&self) -> Wants {
        Wants::Patches { patch: self.patch, pool: 1, budget: self.budget }
    }

    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn tables(&self, _: &[Table]) -> Result<Vec<Table>, ModelError> {
        Ok(vec![Table { key: ONES.into(), cols: self.dim as usize, values: vec![1.0; self.dim as usize] }])
    }

    fn step(&self, features: &Features, tables: &[Table], taps: bool) -> Result<TowerStep, ModelError> {
        let [columns, rows] = positions(features, self.places)?;
        let mut b = Builder::new(self, &self.specs, tables, taps);
        let norm = |b: &mut Builder<'_, Self>, x, i: u32| {
            b.g.layer_norm(x, &format!("v.patch_norm.{i}.weight"), &format!("v.patch_norm.{i}.bias"), LAYER_NORM_EPS)
        };
        b.g.at("the patches");
        let x = b.g.input("patches", features.rows(), features.cols);
        let x = norm(&mut b, x, 1);
        let x = b.products.product(&mut b.g, x, "v.patch_embd");
        let x = b.g.affine(x, "v.patch_embd.bias", ONES);
        b.tap("patch_dense", x);
        let mut x = norm(&mut b, x, 2);
        b.tap("patch_ln2", x);
        let table = b.g.table(PLACES, 2 * self.places, self.dim);
        for axis in [0, 1] {
            let index = b.g.words(Words::Index(axis));
            let position = b.g.gather_rows(table, index, features.rows());
            x = b.g.add_scale(position, x, 1.0);
        }
        let x = norm(&mut b, x, 3);
        b.project(x, (ONES, self.eps), PROJECTION, None)?;
        let inputs = vec![("patches", by_channel(features, |value| value))];
        Ok(TowerStep { graph: b.g, inputs, words: vec![(Words::Index(0), columns), (Words::Index(1), rows)] })
    }
}

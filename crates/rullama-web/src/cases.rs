//! The operations' cases on this browser's WebGPU: the same list as the native tests run, under the adapter's own
//! limits or under those that WebGPU guarantees.

use js_sys::Function;
use rullama::{AdapterProfile, Device, GpuError, OpenOptions};
use rullama_ops::all_cases;
use rullama_ops::case::{Case, Cover};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashSet;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    error::WebError,
    js,
    options::{self, Adapter},
};

/// What to run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    adapter: Adapter,
    /// The device gets the `subgroups` feature.
    subgroups: bool,
    /// A CPU adapter gets the kernels that a GPU would get.
    as_gpu: bool,
    /// Only cases whose operation and name contain this.
    filter: String,
    /// Only what differs from the same case as a GPU with WebGPU's guaranteed limits would get it, in kernel text,
    /// parameters or workgroups.
    beyond_defaults: bool,
    /// Only what brings a variant of an operation, or a line of a kernel, that nothing before it had (with `beyondDefaults`:
    /// nor anything under guaranteed limits). What is left out has its kernels' texts accepted by the browser, and no more.
    cover: bool,
}

/// What came of a case.
#[derive(Default)]
struct Report {
    /// Variants that were compared with the oracle.
    variants: Vec<&'static str>,
    /// Those of which the browser accepted the kernels, alone.
    accepted: Vec<&'static str>,
    /// How many `beyondDefaults` left out.
    same: usize,
    failures: Vec<String>,
}

/// Who runs cases.
struct Runner {
    device: Device,
    /// With the guaranteed limits, where what those lead to is left out.
    defaults: Option<Device>,
    cover: Option<Cover>,
    /// Texts that the browser accepted.
    accepted: HashSet<String>,
}

/// Runs cases, every variant against the CPU oracle. Tells `on_case` of each as JSON text
/// `{ op, name, variants, accepted, same, failures }`, where `same` counts variants that `beyondDefaults` left out, and `accepted`
/// names those that `cover` did; gives `{ device, cases, subgroups, texts }`, the last of accepted ones.
#[wasm_bindgen]
pub async fn run_cases(options: String, on_case: Function) -> Result<String, JsValue> {
    std::panic::set_hook(Box::new(|info| js::report(&info.to_string())));
    let run: Run = options::parse("case options", &options)?;
    let device = open(run.adapter, run.subgroups, run.as_gpu).await?;
    let defaults = if run.beyond_defaults { Some(open(Adapter::WebgpuDefaults, false, true).await?) } else { None };
    let mut runner = Runner { device, defaults, cover: run.cover.then(Cover::default), accepted: HashSet::new() };
    let wanted = |case: &Case| format!("{} {}", case.op.name(), case.name).contains(&run.filter);
    runner.know(all_cases().into_iter().filter(wanted)).await.map_err(rullama::Error::from).map_err(WebError::from)?;
    let mut cases = 0;
    for case in all_cases().into_iter().filter(wanted) {
        cases += 1;
        let Report { variants, accepted, same, failures } = runner.run(&case).await;
        let report = json!({ "op": case.op.name(), "name": case.name, "variants": variants, "accepted": accepted, "same": same, "failures": failures });
        // A callback that throws has nobody to tell.
        let _ = on_case.call1(&JsValue::NULL, &report.to_string().into());
    }
    let Runner { device, accepted, .. } = runner;
    Ok(json!({ "device": device.name(), "cases": cases, "subgroups": device.caps().subgroups, "texts": accepted.len() }).to_string())
}

async fn open(adapter: Adapter, subgroups: bool, as_gpu: bool) -> Result<Device, WebError> {
    let profile = if adapter == Adapter::Native { AdapterProfile::Native } else { AdapterProfile::WebGpuDefaults };
    let options = OpenOptions { profile, browser_subgroups: subgroups, as_gpu };
    Ok(Device::open(&options).await.map_err(rullama::Error::from)?)
}

impl Runner {
    /// Counts what the guaranteed limits lead to as covered: another browser runs it.
    async fn know(&mut self, cases: impl Iterator<Item = Case>) -> Result<(), GpuError> {
        let (Some(defaults), Some(cover)) = (&self.defaults, &mut self.cover) else { return Ok(()) };
        for case in cases {
            for variant in case.variants(defaults).await? {
                cover.adds(case.op.name(), variant, &case.kernels(defaults, defaults.caps(), variant).await?);
            }
        }
        Ok(())
    }

    async fn run(&mut self, case: &Case) -> Report {
        let mut report = Report::default();
        if let Err(error) = self.run_into(case, &mut report).await {
            report.failures.push(format!("{} / {}: {error}", case.op.name(), case.name));
        }
        report
    }

    async fn run_into(&mut self, case: &Case, report: &mut Report) -> Result<(), GpuError> {
        let all = case.variants(&self.device).await?;
        let wanted = match &self.defaults {
            Some(defaults) => case.variants_beyond(&self.device, defaults.caps()).await?,
            None => all.clone(),
        };
        report.same = all.len() - wanted.len();
        for variant in wanted {
            if let Some(cover) = &mut self.cover {
                let kernels = case.kernels(&self.device, self.device.caps(), variant).await?;
                if !cover.adds(case.op.name(), variant, &kernels) {
                    let accepted = &mut self.accepted;
                    for kernel in kernels.iter().filter(|kernel| accepted.insert(kernel.source().to_owned())) {
                        self.device.accept(kernel).await?;
                    }
                    report.accepted.push(variant);
                    continue;
                }
            }
            report.failures.extend(case.run_variant(&self.device, variant).await.err());
            report.variants.push(variant);
        }
        Ok(())
    }
}

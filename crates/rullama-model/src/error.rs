use rullama_adapter::AdapterError;
use rullama_gpu::GpuError;
use rullama_ops::GraphError;
use rullama_quant::QuantError;
use rullama_source::SourceError;
use rullama_source::gguf::{GgufError, MetadataError};

/// Why a file cannot become a running model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    #[error("this is a `{found}` model; rullama runs text models of the architecture {}. Choose such a file", crate::model::ARCHITECTURES)]
    Architecture { found: String },
    #[error(
        "this is an embedding model (`{found}`): it turns texts into vectors and writes no answers. Use it with `rullama embed` or `/api/embed`; to chat, choose a model of the architecture {}",
        crate::model::ARCHITECTURES
    )]
    IsEncoder { found: String },
    #[error("this is a `{found}` model, which makes no embeddings here. Choose a file of {}", crate::model::ENCODERS)]
    NoEncoder { found: String },
    #[error(
        "this file is a drafter (`gemma4-assistant`): it guesses tokens for another model and writes no answers. Load the model itself, with this file as its drafter"
    )]
    IsDrafter,
    #[error(
        "this is a `{found}` model, which drafts for none. Give the file of the drafter that was made for the model (`gemma4-assistant`, often named `assistant` or `mtp`)"
    )]
    NoDrafter { found: String },
    #[error(
        "the drafter's `{key}` is {found}, of the model {expected}: it is another model's drafter. Give the one that was made for this model, or load without"
    )]
    OtherDrafter { key: String, found: String, expected: String },
    #[error("{texts} texts of {tokens} tokens do not fit a step of {most}. Give them in parts")]
    StepTooLong { texts: usize, tokens: usize, most: u32 },
    #[error(
        "metadata `{key}` is {value}, which {reason}. The file is damaged or was made for another program: convert or download it again"
    )]
    Config { key: String, value: String, reason: String },
    #[error("tensor `{name}` is missing. The file is incomplete or was made for another program: convert or download it again")]
    MissingTensor { name: String },
    #[error("tensor `{name}`{} {what}, which would be left out here: the model would be another one. {remedy}", others(*more))]
    Unused { name: String, more: usize, what: &'static str, remedy: &'static str },
    #[error(
        "tensor `{name}` has shape {found:?}, expected {expected:?}. The file is damaged or was made for another program: convert or download it again"
    )]
    Shape { name: String, expected: Vec<u64>, found: Vec<u64> },
    #[error("tensor `{name}` has rows of {cols} values; kernels need a multiple of 32. Convert the model to a supported layout")]
    RowLength { name: String, cols: u64 },
    #[error(
        "an expert of `{name}` takes {bytes} bytes, more than the {most} that this adapter can bind at once. Choose a smaller quantisation of the model, or another adapter"
    )]
    Expert { name: String, bytes: u64, most: u64 },
    #[error(
        "an expert of `{name}` has {rows} rows, which is no multiple of {step}: experts cannot be streamed. Load all of them (`resident`), or use another file of the model"
    )]
    ExpertRows { name: String, rows: u64, step: u64 },
    #[error(
        "tensor `{name}` holds {value}, which {reason}. The file is damaged or was made for another program: convert or download it again"
    )]
    Value { name: String, value: f32, reason: &'static str },
    #[error(
        "the tower makes rows of {found} values, the model's are {dim} wide: it is another model's. Give the file that came with this model"
    )]
    OtherModel { found: u64, dim: u32 },
    #[error(
        "a picture of {columns} x {rows} patches is longer than the {places} that the tower knows a side. Cut it, or choose a smaller budget of soft tokens"
    )]
    TooManyPatches { columns: u32, rows: u32, places: u32 },
    #[error(
        "a step of {rows} different tokens needs as many rows of `{name}`, and the GPU has places for {places}. Give shorter steps, a larger memory budget, or load the table (`resident`)"
    )]
    RowPlaces { name: String, rows: usize, places: u32 },
    #[error("row {row} of `{name}` cannot be read; it has {rows}. The token is outside the vocabulary")]
    Row { name: String, row: u64, rows: u64 },
    #[error("kernel `{kernel}` gives wrong results on this adapter: {message}. Update the graphics driver or choose another adapter")]
    SelfTest { kernel: String, message: String },
    #[error("{place}: {source}")]
    Node { place: String, source: Box<GpuError> },
    #[error("the model's graph does not fit together: {0}. This is a fault of rullama: report it with the file's name")]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Quant(#[from] QuantError),
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error("cancelled")]
    Cancelled,
}

fn others(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more of its kind)") }
}

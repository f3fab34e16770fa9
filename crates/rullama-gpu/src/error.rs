/// What can go wrong between the engine and the adapter. Each message ends with the remedy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GpuError {
    #[error("no usable GPU adapter was found ({reason}). Update the graphics driver, or in a browser use one with WebGPU enabled")]
    NoAdapter { reason: String },
    #[error(
        "the adapter's limit `{limit}` is {have}, but {need} is needed for {what}. Choose a smaller model or context, or another adapter"
    )]
    LimitTooSmall { limit: &'static str, have: u64, need: u64, what: String },
    #[error(
        "the GPU has no room for {what} ({bytes} bytes; {allocated} bytes are in use here). Close other programs or tabs, reduce the context, or choose a smaller model"
    )]
    OutOfMemory { what: String, bytes: u64, allocated: u64 },
    #[error("the GPU device was lost: {reason}. Load the model again; if it recurs, update the graphics driver")]
    DeviceLost { reason: String },
    #[error("the GPU refused {what}: {message}. Please report this with the output of `rullama doctor`")]
    Validation { what: String, message: String },
    #[error("the GPU did not finish within {seconds} s. The driver may be hung: restart the program")]
    Timeout { seconds: u64 },
}

//! Rows of the user's own for the catalogues of conditions, CPF and kernel parameters, taken up before the agent looks at anything.

use std::{io, path::Path};

use instance_knowledge::{AlreadyInForce, Catalogue, DataError};

/// Why the rows of a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    #[error("could not read the folder of knowledge \"{folder}\"")]
    Folder { folder: String, source: io::Error },
    #[error("could not use the rows of \"{folder}\"")]
    Rows { folder: String, source: Box<DataError> },
    #[error(transparent)]
    InForce(#[from] AlreadyInForce),
}

/// Puts the rows of `folder` (`*.toml`, in the forms of `shared/knowledge/README.md`) in force beside those that are
/// built in. Without a folder nothing is done.
pub fn use_knowledge(folder: Option<&Path>) -> Result<(), KnowledgeError> {
    let Some(folder) = folder else { return Ok(()) };
    let name = || folder.display().to_string();
    let texts = instance_chassis::texts_in(folder, ".toml")
        .map_err(|source| KnowledgeError::Folder { folder: name(), source })?;
    let files = texts.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    let catalogue = Catalogue::with_extra(files)
        .map_err(|source| KnowledgeError::Rows { folder: name(), source: Box::new(source) })?;
    tracing::info!(folder = %folder.display(), files = texts.len(), "rows of the user's own are in force");
    Ok(catalogue.put_in_force()?)
}

//! How a farcc worker is. Other servers do not say.

use super::{CallError, Client};
use crate::proto::{GetStatusRequest, WorkerStatusMessage};
use crate::status::WorkerStatus;

impl Client {
    /// How a farcc worker is, now.
    ///
    /// # Errors
    /// The server is none ([`CallError::NotSpoken`]), or the call failed.
    pub async fn status(&self) -> Result<WorkerStatus, CallError> {
        let path = "/farcc.worker.v1.Status/Get";
        let answer: WorkerStatusMessage = self.unary(path, GetStatusRequest {}).await?;
        Ok(answer.into())
    }

    /// Hears how a farcc worker is whenever that changes, until the connection ends.
    ///
    /// # Errors
    /// The server is none ([`CallError::NotSpoken`]), or the call failed.
    pub async fn watch_status(&self, mut hear: impl FnMut(WorkerStatus)) -> Result<(), CallError> {
        let path = "/farcc.worker.v1.Status/Watch";
        let request = self.request(GetStatusRequest {});
        let mut stream = self
            .server_stream::<_, WorkerStatusMessage>(path, request)
            .await?;
        while let Some(status) = stream.message().await? {
            hear(status.into());
        }
        Ok(())
    }
}

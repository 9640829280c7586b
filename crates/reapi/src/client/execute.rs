//! Executing an action: one call, which tells how far it is until its result comes.
//!
//! The call may break off while the server goes on. It is taken up again by the operation's name,
//! on another connection if need be; if the server has forgotten it, the action is executed again,
//! which is always safe.

use prost::Message;
use store::Digest;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Streaming};

use super::{CallError, Client};
use crate::executor::Stage;
use crate::message::digest;
use crate::message::result::ActionResult;
use crate::proto::{ExecuteResponse, METADATA_TYPE, Operation, RESET_CANCELS, RESPONSE_TYPE, re};

/// How often an execution is begun or taken up again before the server is taken for broken.
const CALLS_MAX: usize = 5;

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Outputs to have inside of the result, by the names that the command gives them, as far as
    /// the server likes to.
    pub inline: Vec<String>,
    /// Run it even if its result is known.
    pub skip_cache: bool,
    /// The server's own order: lower is sooner.
    pub priority: i32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// The result.
    pub result: ActionResult,
    /// It was known already.
    pub from_cache: bool,
    /// For people, from the server.
    pub message: String,
}

/// How one call ended that did not fail.
enum Ended {
    Done(Box<Executed>),
    /// Without an answer; the server may still be at it.
    BrokeOff,
    /// The server does not know the execution any more.
    Forgotten,
}

impl Client {
    /// Executes an action whose blobs the server has; a farcc worker also if they are being sent
    /// on this connection at this time. `stage` hears how far it is. Dropping the future cancels
    /// the execution.
    ///
    /// # Errors
    /// [`CallError::Missing`] names what the server lacks; anything else that can go wrong with a
    /// call. That a command fails is no error.
    pub async fn execute(
        &self,
        action: &Digest,
        wanted: &Wanted,
        stage: impl FnMut(Stage),
    ) -> Result<Executed, CallError> {
        let no_more = async || Err(CallError::Unavailable("the connection broke".into()));
        self.execute_over(action, wanted, stage, no_more).await
    }

    /// The same, on another connection if this one breaks. The execution goes on meanwhile.
    ///
    /// # Errors
    /// As of [`execute`](Client::execute), and what `connect` says.
    pub async fn execute_over(
        &self,
        action: &Digest,
        wanted: &Wanted,
        mut stage: impl FnMut(Stage),
        mut connect: impl AsyncFnMut() -> Result<Client, CallError>,
    ) -> Result<Executed, CallError> {
        let mut client = self.clone();
        let mut operation = String::new();
        for _ in 0..CALLS_MAX {
            let called = client.call(action, wanted, &mut operation, &mut stage);
            match called.await {
                Ok(Ended::Done(executed)) => return Ok(*executed),
                Ok(Ended::BrokeOff) => {}
                Ok(Ended::Forgotten) => operation.clear(),
                Err(CallError::Unavailable(_)) if client.is_closed() => {
                    client = connect().await?;
                }
                Err(error) => return Err(error),
            }
        }
        let text = format!("no result came in {CALLS_MAX} calls");
        Err(CallError::Unavailable(text))
    }

    /// Begins an execution, or takes it up again if its operation is known.
    async fn call(
        &self,
        action: &Digest,
        wanted: &Wanted,
        operation: &mut String,
        stage: &mut impl FnMut(Stage),
    ) -> Result<Ended, CallError> {
        let function = self.shared.function;
        let opened = if operation.is_empty() {
            let path = "/build.bazel.remote.execution.v2.Execution/Execute";
            let request = self.execution_request(self.execute_request(action, wanted));
            self.server_stream(path, request).await
        } else {
            let path = "/build.bazel.remote.execution.v2.Execution/WaitExecution";
            let name = operation.clone();
            let request = self.execution_request(re::WaitExecutionRequest { name });
            match self.server_stream(path, request).await {
                Err(status) if status.code() == Code::NotFound => return Ok(Ended::Forgotten),
                opened => opened,
            }
        };
        let opened = opened.map_err(|status| CallError::of_execution_call(function, status));
        self.follow(opened?, operation, stage).await
    }

    fn execute_request(&self, action: &Digest, wanted: &Wanted) -> re::ExecuteRequest {
        let priority = wanted.priority;
        re::ExecuteRequest {
            instance_name: self.instance(),
            skip_cache_lookup: wanted.skip_cache,
            action_digest: Some(digest::to_message(action)),
            execution_policy: (priority != 0).then_some(re::ExecutionPolicy { priority }),
            results_cache_policy: None,
            digest_function: self.digest_function(),
            inline_stdout: true,
            inline_stderr: true,
            inline_output_files: wanted.inline.clone(),
        }
    }

    /// A farcc worker is told that it need not wait for us if we reset the call.
    fn execution_request<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = self.request(message);
        let value = AsciiMetadataValue::from_static("1");
        request.metadata_mut().insert(RESET_CANCELS, value);
        request
    }

    /// Hears an execution out.
    async fn follow(
        &self,
        mut stream: Streaming<Operation>,
        operation: &mut String,
        stage: &mut impl FnMut(Stage),
    ) -> Result<Ended, CallError> {
        loop {
            let update = match stream.message().await {
                Ok(Some(update)) => update,
                Ok(None) => return Ok(Ended::BrokeOff),
                // Servers and what is before them end calls that take long, some with an error.
                Err(_) if !operation.is_empty() && !self.is_closed() => return Ok(Ended::BrokeOff),
                Err(status) => {
                    let function = self.shared.function;
                    return Err(CallError::of_execution_call(function, status));
                }
            };
            if !update.name.is_empty() {
                operation.clone_from(&update.name);
            }
            if update.done {
                return self.finish(update).map(|done| Ended::Done(Box::new(done)));
            }
            if let Some(now) = stage_of(&update) {
                stage(now);
            }
        }
    }

    fn finish(&self, operation: Operation) -> Result<Executed, CallError> {
        let function = self.shared.function;
        if let Some(error) = operation.error {
            return Err(CallError::of_execution(function, &error));
        }
        let nonsense = |text: &str| CallError::Nonsense(text.to_owned());
        let response = operation
            .response
            .filter(|any| any.type_url == RESPONSE_TYPE)
            .ok_or_else(|| nonsense("an execution ended without a response"))?;
        let response = ExecuteResponse::decode(response.value)
            .map_err(|error| nonsense(&error.to_string()))?;
        if let Some(status) = response.status.filter(|status| status.code != 0) {
            let mut error = CallError::of_execution(function, &status);
            if let (CallError::Deadline { partial, .. }, Some(bytes)) =
                (&mut error, &response.result)
            {
                // Without it the error is still right.
                *partial = self.decode_result(bytes).ok().map(Box::new);
            }
            return Err(error);
        }
        let bytes = response
            .result
            .ok_or_else(|| nonsense("an execution ended without a result"))?;
        Ok(Executed {
            result: self.decode_result(&bytes)?,
            from_cache: response.cached_result,
            message: response.message,
        })
    }
}

fn stage_of(operation: &Operation) -> Option<Stage> {
    use re::execution_stage::Value;
    let metadata = operation.metadata.as_ref()?;
    if metadata.type_url != METADATA_TYPE {
        return None;
    }
    let metadata = re::ExecuteOperationMetadata::decode(metadata.value.clone()).ok()?;
    Some(match Value::try_from(metadata.stage).ok()? {
        Value::CacheCheck => Stage::CacheCheck,
        Value::Queued => Stage::Queued,
        Value::Executing => Stage::Executing,
        Value::Completed => Stage::Completed,
        Value::Unknown => return None,
    })
}

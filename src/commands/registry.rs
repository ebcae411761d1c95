//! `hardway registry`: a registry for one machine, or for a class.

use std::process::ExitCode;

use hardway::explain::Explanation;
use hardway::registry::{self, Account, Doorkeeper, Limits, Registry, Scheme};
use rootfs_fetch::store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{PASSWORD, say};
use crate::cli::registry::{Auth, RegistryCommand, Serve};

/// `hardway registry`.
pub fn run(command: &RegistryCommand) -> Result<ExitCode, Explanation> {
    match command {
        RegistryCommand::Serve(options) => serve(options),
    }
}

fn serve(options: &Serve) -> Result<ExitCode, Explanation> {
    let store = Store::open(&options.store).map_err(|error| {
        Explanation::new(
            "The store can not be served",
            error.to_string(),
            "name a directory that is an image layout, or a new one",
        )
    })?;
    let scheme = match options.auth {
        Auth::None => Scheme::None,
        Auth::Basic => Scheme::Basic,
        Auth::Token => Scheme::Token,
    };
    let password = std::env::var(PASSWORD).unwrap_or_default();
    if scheme != Scheme::None && password.is_empty() {
        let why = format!("${PASSWORD} is empty");
        return Err(Explanation::new("The registry has no password to ask for", why, "set it in the environment"));
    }
    let account = Account { name: options.user.clone().unwrap_or_default(), password };
    let limits = Limits {
        upload: u64::from(options.max_upload) << 20,
        uploads: options.max_uploads.into(),
        ..Limits::default()
    };
    let registry = Registry::new(store, Doorkeeper::new(scheme, account, options.anyone_may_pull), limits);
    let registry = if options.strict_accept { registry.strict() } else { registry };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Explanation::new("The registry can not start", error.to_string(), "try again"))?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        say(&format!("http://{}/v2/ serves {}; Ctrl-C ends it", listener.local_addr()?, options.store.display()));
        let (mut interrupted, mut told) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let until = async move {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = told.recv() => {}
            }
        };
        registry::serve(listener, registry, until).await
    });
    served.map_err(|error| {
        let what = format!("The registry can not serve at {}", options.listen);
        Explanation::new(what, error.to_string(), "choose another address with --listen, or end what listens there")
    })?;
    Ok(ExitCode::SUCCESS)
}

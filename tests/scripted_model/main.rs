//! `cargo xtask chaos` and `instance chaos run --model URL`: an endpoint with the model of a few lines behind it, until its
//! input ends. Prints its address, then each choice, and at last how often it was called, counted here.

#[path = "../models/scripted.rs"]
mod scripted;

use std::io;

use instance_testkit::{ModelAnswer, ModelServer};

fn main() -> io::Result<()> {
    let server = ModelServer::start();
    server.answer_with(|call| {
        let asked = call.said();
        let answer = scripted::answer(&asked)?;
        let listed = asked.rsplit("\nAllowed:\n").next().unwrap_or_default();
        let chosen = listed.lines().find(|line| line.starts_with(&format!("{}. ", answer["option"])));
        eprintln!("the model chose {}", chosen.unwrap_or("nothing"));
        let tokens = |text: &str| u64::try_from(text.len() / 4).unwrap_or(u64::MAX);
        Some(ModelAnswer::json(&answer).costing(tokens(&asked), tokens(&answer.to_string())))
    });
    println!("{}", server.url());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    println!("{} calls", server.calls());
    Ok(())
}

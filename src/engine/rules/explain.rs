//! Pages of codes: what it means, why it matters, how to mend it.

/// The page of a code.
#[must_use]
pub fn explain(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(c, _)| *c == code).map(|(_, page)| *page)
}

/// Every code's page.
pub const PAGES: &[(&str, &str)] = &[
    ("SB0101", "this is not TOML
The file cannot be parsed, so nothing else is said about it. Several errors of one file are shown at once, but a later one may follow from an earlier one: begin at the top.
The usual causes: a string without its closing quote, a missing comma between array entries, a backslash in a string in double quotes (write it twice, or use single quotes)."),
    ("SB0102", "a key stands twice
TOML does not allow a key twice in one table, and two values would leave open which one counts. The table of a stage is opened once: put all of its edges under one [stages.NAME]."),
    ("SB0103", "an unknown key
Every key means something; one that signalbox does not know would be ignored, and you would believe in a rule that is not there. The help line names the nearest key that exists here.
Keys that begin with `x-` are yours: signalbox never reads them."),
    ("SB0104", "a key is missing
The definition does not work without this key, and there is no default that would be right for everybody. The help line shows an example."),
    ("SB0105", "not available yet in this version
The key belongs to the language, but this version has no engine behind it. It is refused rather than ignored: a watch, budget or hook that silently does nothing is worse than none. Remove it, or keep your draft under a key that begins with `x-`."),
    ("SB0106", "a value of the wrong type
For example a number where a string is due. Durations are strings with a unit (\"20m\"), commands are arrays of strings ([\"make\", \"test\"]), lists are arrays even with one entry."),
    ("SB0107", "the schema version
`schema = 1` says for which version of the language a file was written. A file of a later schema may mean something that this version cannot know."),
    ("SB0108", "`extends` names no pipeline
`extends = \"base\"` stands for pipelines/base.toml, in your directory or built in. The name is written without folder and extension."),
    ("SB0109", "`extends` leads back to itself
A pipeline is laid over its parent, the parent over its own. In a circle there is no first one."),
    ("SB0110", "a file cannot be read
Too large (1 MiB is the limit), not UTF-8, a pipe or a directory where a file is due, or not readable by this user. What is in it cannot be checked, so the rules as a whole are refused."),
    ("SB0111", "keys that exclude one another
A gate of two kinds, an edge that goes two ways, a name twice in one list: the rules would not say which one counts. When one of them was inherited, take it away: `key = \"unset\"`."),
    ("SB0112", "nothing to unset (warning)
`\"unset\"` removes a key that was inherited through `extends` or defined by the pipeline that a project overrides. Here nothing was, which usually means a misspelt key."),
    ("SB0201", "an unknown agent
`work` and `rerun` name agents: [agents.NAME], in this pipeline or inherited. An edge can rerun only agents that work in its own stage."),
    ("SB0202", "an unknown gate
`pass`, `first_of` and `all_of` name gates: [gates.NAME], in this pipeline or inherited. An unknown gate could only be left open or shut for ever; both are wrong."),
    ("SB0203", "an unknown counter
`uses` names a counter: [counters.NAME] with `max`."),
    ("SB0204", "an unknown stage
`flow` lists stages in order, `to` and `serial_gate.guards` name stages of the flow. `created` and `done` need no definition, every other stage is a table [stages.NAME]."),
    ("SB0205", "an unknown signal
The engine knows start, approve, reject, confirm_deploy, stop and answer. A signal of your own must be awaited by a human gate or an edge on.\"signal.NAME\", else the status or comment would do nothing."),
    ("SB0206", "an unknown message
`note`, `comment` and `ask` name texts in messages/LANGUAGE.toml, in the sections of the same names. What a language lacks is taken from English."),
    ("SB0207", "an unknown prompt
An agent's `prompt` names a file prompts/NAME.md; without the key it is the agent's own name, then `default`."),
    ("SB0208", "an unknown script or function
`fn = \"staging.rhai::verdict\"` stands for the function `verdict` in rules/staging.rhai."),
    ("SB0209", "an unknown standing order
`auto` in a human gate names an entry of [auto] that has a `label`. The label on an issue passes the gate without a person."),
    ("SB0210", "a name that cannot be one
Names of stages, gates, agents, counters and signals begin with a small letter; small letters, digits, `-` and `_` follow. They appear in edges (joined by dots), folders and commands. A few words are the engine's own. Edges are named \"gate.outcome\"; prefixes are capital letters and digits."),
    ("SB0211", "defined and never used (warning)
A stage, gate, agent, counter or standing order of this pipeline that its flow does not reach. Often a word was forgotten in `flow`, `pass` or `work`. Inherited definitions that are not reached are no part of the pipeline and are not reported."),
    ("SB0212", "one name for an agent and a gate
Jobs are shown and recorded by the name of the agent or of the gate that they run for; one name for both could not be told apart."),
    ("SB0213", "an unknown hook
`do = [\"hook:NAME\"]` and `stop.critical` name hooks: [hooks.NAME] with `run`."),
    ("SB0214", "an unknown watch
`watch` of a stage names one of [watches.NAME]."),
    ("SB0215", "an unknown program
`program` of an agent names one of [programs.NAME]: claude, codex, gemini and opencode are built in. A command of your own goes into `run`."),
    ("SB0301", "the ends of the flow
`flow` begins with `created` and ends with `done`; the sink of cancelled tasks stands beside it. Everything that reads a task's state relies on these ends."),
    ("SB0302", "a stage twice in the flow
A task stands at a stage by name; if the name stood twice, nobody could say where. Define a second stage with a name of its own."),
    ("SB0303", "an outcome without an edge
A gate or action can come out in a way that nothing answers, so the task would stand still and nobody would know. Say what follows: `to` an earlier stage, `rerun` an agent, `ask` people, or `stay` with an alert.
Without an edge, only these are answered by default: `unreachable` waits; `unreadable` and `error` stay and alert; `work.failed` stays, alerts and escalates."),
    ("SB0304", "an edge that nothing reaches
The outcome does not exist at this stage: the gate is not asked there, or cannot come out so. Often the outcome is misspelt. An inherited edge that does not fit is dropped silently; this one stands in your own file. The signals start and stop belong to the engine, no edge can answer them."),
    ("SB0305", "an edge that leads forward
Edges lead back. A task goes forward only when all gates of its stage say `ok`, so that no outcome can jump over a gate."),
    ("SB0306", "a return that nothing bounds
An edge that goes back, or runs an agent again, could do so for ever and spend money each time. `uses` names a counter that bounds it. Only edges on signals need none: each consumes a distinct act of a person."),
    ("SB0307", "two writers in one stage
Agents of a stage work side by side, each in its own checkout. If two of them declare `writes`, their changes meet in a merge that nobody asked for. Give one of them `artefacts` only, or a stage of its own."),
    ("SB0308", "a human gate that nobody can pass
No status and no comment in [signals] produces the signal that this gate waits for, so tasks would wait for ever."),
    ("SB0309", "gates made of one another
`first_of` and `all_of` ask other gates; in a circle the question never ends."),
    ("SB0310", "something to do in `created` or `done`
These two stages mark the ends; nobody works there and no gate is asked. Put work into a stage between them."),
    ("SB0311", "the serial gate's stage
The serial gate holds back the agents of a guarded stage until every earlier task of the repository is over. In a stage without agents there is nothing to hold back; what is irreversible there is done by one task at a time anyway, under the merge lease."),
    ("SB0312", "a waiting outcome that leads somewhere
`pending`, `waiting` and `unreachable` mean that nothing has come out yet. Such an edge may show a status, write a comment and alert; it cannot move the task."),
    ("SB0313", "no previous stage
`to = \"previous\"` means the stage before in which agents work. The first one has none: say what a reject means there, usually `rerun`."),
    ("SB0314", "an edge that does not say where the task goes
One of `to`, `rerun`, `ask`, `stay` (or `escalate`) is due. `update` merges the base into the branch first, and then something must look at the result again."),
    ("SB0315", "a stage that no task gets past
One of its gates can never say `ok`: no clause of `files` is `ok`, or the script never returns it. `done` cannot be reached then, whatever agents and people do."),
    ("SB0316", "a counter larger than the run budget
A counter that allows as many returns as the task may have runs in all is never spent: the budget ends the task first, without what the counter says should happen then. Lower `max`, or raise budget.task.max_runs."),
    ("SB0317", "a critical window without a bound
While an irreversible action is at work a stop is put off. `critical` of [stop] says for how long at most. A merge has five minutes when nothing is said (a warning), a hook must be given its bound."),
    ("SB0318", "a second merge
A change is merged once. A stage behind the merge that merges again would take the merge lease for a change that is no longer open, and hold up every other task of the repository."),
    ("SB0319", "an invariant that says nothing
It speaks of a gate, outcome, action or stage that this flow does not have, so it would hold whatever happens, and you would believe in a promise that nobody keeps. Name what there is; an inherited one that does not fit is taken away by `\"unset\"`."),
    ("SB0320", "a human gate with too few people
The gate wants `quorum` different people of a role, and [people] lists fewer. As soon as somebody is listed, only the lists count; where nobody is, the owner of the service decides alone."),
    ("SB0321", "a human gate that waits for a signal of the engine's own
`start`, `stop`, `reject` and `answer` mean something wherever a task stands. A gate that waited for one of them would be passed by what people say to the opposite effect: a rejection would approve. Wait for `approve`, `confirm_deploy` or a signal of your own, and map it under [signals]."),
    ("SB0401", "not a duration
A whole number and a unit: 500ms, 90s, 20m, 24h, 7d."),
    ("SB0402", "out of range
The value is of the right kind but outside the range that makes sense; the message names the range. Counters allow 20 returns at most: a person looks in long before."),
    ("SB0403", "not one of the words allowed
The label lists them."),
    ("SB0404", "a regular expression that does not compile
Patterns are Rust regular expressions, matched without regard to case. Write them in 'single quotes', where a backslash is a backslash."),
    ("SB0405", "a regular expression that matches everything
It matches the empty text, and so the log of every run: each failure would count as weather and be repeated."),
    ("SB0406", "a path that leaves its folder
Artefacts lie below the artefact folder, `writes` below the checkout. Absolute paths, `..`, backslashes and `.git` are refused: they would let an agent or a gate reach what it must not."),
    ("SB0407", "a branch template that makes illegal names
git refuses the names that this template makes, or two tasks would share a branch because `{id}` is missing. A template like \"feature/{id}-{slug}\" is safe."),
    ("SB0408", "a branch template that can name a protected branch
Task branches are pushed to and deleted. They must never be one that `protected` covers."),
    ("SB0409", "an unknown placeholder
Braces in a template are filled when it is used; nothing fills this one. An agent with input = \"argument\" needs `{prompt}` in one of its arguments."),
    ("SB0410", "the default branch is not protected
Nothing in `protected` covers the branch that changes are merged into. Without a project both main and master must be covered; a project names its own with `default_branch`."),
    ("SB0411", "a pattern that is no glob
`*` is any part of a name, `**` any folders, `?` one character, `[ab]` one of these, `{a,b}` either."),
    ("SB0412", "empty, or not usable
The text or list is empty, holds control characters, or is longer than 16 KiB."),
    ("SB0413", "no such fact
`reads` of a script gate names facts: issue, head, files, frontmatter:FILE, json:FILE, text:FILE, checks, reviews, mergeable."),
    ("SB0414", "a status or comment is mapped twice
Statuses are compared without regard to capital letters and outer spaces, so these two are one, and it is open which signal it means."),
    ("SB0415", "a status that is shown and is a signal
The service writes this status and also takes it for a person's act. It could not tell its own writing from a person's."),
    ("SB0416", "an undefined variable
A template, hook or probe of this project's pipeline asks for `vars.NAME` (or `{var.NAME}`), and the project does not define it. The text could not be made when it is needed. Define it under `vars`, or ask in the template whether it is defined."),
    ("SB0417", "a maintenance command that removes what is in use
Pruning images, containers, volumes or the whole system, or everything regardless of age, takes away what running work needs. A build cache with an age filter (until=24h) may be pruned."),
    ("SB0418", "a file that nobody may write
The gate asks for an artefact, and no agent that works in this flow may write a file of that name. It would never be there: the gate would never pass, or, where absence means `ok`, always. Look for a misspelt name, in the gate or in the agent's `artefacts`."),
    ("SB0501", "a script does not compile
Scripts are Rhai without imports, loops over time or output. The message says what the parser met."),
    ("SB0502", "parameters that do not match
The names under `reads` are the parameters of the function; `args` is given besides when the function takes it."),
    ("SB0503", "a message template is wrong
The template cannot be parsed or uses something that is not there. It would fail when people are to be told something."),
    ("SB0504", "a prompt template is wrong
The template cannot be parsed or uses something that is not there. The agent would never be started."),
    ("SB0505", "a script calls an unknown function
Neither the file nor the sandbox has a function of this name. The gate would come out as `error` when it is asked. Every script file stands alone: functions of other files cannot be called."),
    ("SB0506", "a script calls a function with another number of arguments
The call would fail when the gate is asked, and the gate come out as `error`."),
    ("SB0507", "a script compares values of different types
A text is never equal to a number: such a comparison hides a mistake, and is an error at run time."),
    ("SB0508", "a script returns an undeclared outcome
`returns` of the gate lists every outcome; each has its edge. One that is not listed would come out as `error`."),
    ("SB0509", "a script reads a field that is not there
The facts have fixed fields; the help line lists them. Only front-matter and JSON artefacts have fields of their own."),
    ("SB0510", "a script exceeds a limit
Files have 64 KiB at most, expressions 64 levels (32 within functions), texts 16 KiB, lists 1024 and maps 256 entries. A call is ended after 100 000 operations or 16 nested calls; that is seen only when the gate is asked."),
    ("SB0511", "an outcome that is never returned (warning)
`returns` declares it, but the function can be seen never to return it. Its edge answers nothing; perhaps a word is misspelt."),
    ("SB0512", "a script's own arguments
The function reads a field of `args` that the gate does not give, or the gate gives one that the function never reads. What is not given reads as `()`, so the script would decide on nothing."),
    ("SB0601", "two projects share something
With one prefix, ids would collide; with one repository, there would be two serial gates and two merge leases for one default branch."),
    ("SB0602", "a project's pipeline
There is no such file in pipelines/ (nor built in), or it has no `flow`: it is meant to be extended."),
    ("SB0603", "a secret in clear
Files of rules are read, diffed, stored and shown. Refer to secrets: { env = \"NAME\" } or { file = \"/run/secrets/name\" }. A secret that stood here should be changed: it has been seen."),
    ("SB0604", "an agent without a command
Pipelines leave `run` to the project, because the same pipeline runs with different agents. Set it for all: set = { \"agents.*.run\" = [\"./agent.sh\"] }."),
    ("SB0605", "a `set` key leads nowhere
Keys of `set` are paths in the pipeline, joined by dots; `*` stands for every key at its place; a key with dots in double quotes. `schema` and `extends` belong to the pipeline. The stage, gate, agent, counter or table that a path begins with must be there: new ones are defined in a pipeline of your own."),
    ("SB0606", "the listen address
It is no address, or it can be reached from other machines while [api] has no token: everybody there could approve and merge."),
    ("SB0607", "a command that cannot be executed here (warning, with --here)
The agent's program is not there, or not executable, on this machine. Commands without a slash are looked for in PATH, those that begin with `./` in the folder of signalbox.toml. The machine that serves may be another one: without `--here` nothing is looked for."),
    ("SB0701", "an `allow` that is not one (warning)
The form is: # signalbox: allow SB0211 until 2027-03-31: why it is allowed
It stands at the end of the line of the finding, or alone on the line before. The date and the reason are required: an exception without them is never looked at again."),
    ("SB0702", "an `allow` of what cannot be allowed (warning)
There is no such code, or findings with it are errors: rules with errors are not loaded, whatever a comment says."),
    ("SB0703", "an `allow` whose time is over (warning)
Its date has passed, so the finding is shown again. Mend it, or look at the reason anew and set a later date."),
    ("SB0704", "an `allow` that nothing needs (warning)
No finding of this code stands on its line any more. Remove it, lest it hide a later one."),
    ("SB0801", "a task can get stuck
The proof walked the engine over these rules and came to a state from which `done` cannot be reached, however well everything goes, or which nothing wakes. The help tells a shortest way there. Usually a signal is missing: a question needs an edge on.\"signal.answer\", a human gate a signal that somebody can give. A task that is parked is no mistake as long as an operator's act ends it."),
    ("SB0802", "a stop does not end a task
STOP belongs to the engine, so rules cannot be at fault: this is a mistake in signalbox. The help tells the way to it; please report it."),
    ("SB0803", "a job, a lease or a merge that must not be
The proof came to a step that merges what is merged already, merges without the merge lease, or queues a job for a task that is over. Usually an edge leads from behind the merge back before it: let it `stay` and escalate instead."),
    ("SB0804", "agents can be run without end
The proof found a circle in which agents are run and no counter is used up, no person having a part in it. Give an edge of the circle a counter with `uses`."),
    ("SB0805", "an invariant that does not hold
[invariant] promises something that the proof could break; the help tells the shortest way. `for = \"same subject\"` means the code as it is at that moment: what was said of older code counts for nothing, but what was said before the service's own merge of the default branch counts on. A gate's last word counts. Ask the gate again in a later stage, or promise less."),
    ("SB0806", "the proof could not be finished (warning)
There are more states than the proof looks at, so some properties are undecided: they are reported as skipped, never as held. Counters with large limits and stages with several agents make most of the states."),
];

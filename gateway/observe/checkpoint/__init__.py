"""Checkpoints: observe's whole state goes to `state_dir/observe.checkpoint` now and then and at stop; the next process goes on.

state     what observe knows, as one value

layout    the classes that a state is made of, and a fingerprint of what they look like
codec     a state as bytes, and back
file      the file: written atomically, checked when it is read, set aside when it cannot be used
child     somebody else does the writing, so that the observer never stands still for it
writer    when it is written, and what is said when it cannot be
restore   what a start makes of the file that it finds

What is in it: the model, each tap's translator with the place in its run, and, when written at stop, the history of what was
published. What is not: settings (they are the configuration's), answers of the CAS that are remembered (what is known of listed
operations is in the model; the rest is asked for again).

**Going on.** The link asks each tap for the record after the last one in the checkpoint. If the tap still has it, nothing was
missed. If it has not, the tap says Gap and what is open, and the state heals as after any gap. If the tap has another run,
everything that went through the old one ended at the time of its last record in the checkpoint.

**Time.** The model has no clock, so a loaded state stands at the time of its last record until a tap speaks: nothing is abandoned,
dropped or timed out meanwhile. It is shown, and health says that no tap is attached and how old it is. With the first record time
moves on, and what is due is done. A checkpoint that is older than a day is not shown at all: see `restore.OLDEST_NS`.

**Epochs.** A checkpoint written at stop is the last revision of its epoch, and the epoch goes on from there. After a crash
subscribers may know revisions that came after the checkpoint, and the records are not cut into revisions the same way twice, so
a new epoch begins: a subscriber gets a snapshot.

**Upgrades.** A release whose state looks different sets the checkpoint aside and begins with what the tap still has.
"""

#![no_main]

libfuzzer_sys::fuzz_target!(init: weir_optimizer_fuzz::only_what_is_not_caught_ends_the_process(), |data: &[u8]| {
    weir_optimizer_fuzz::transcode(data);
});

# Several pipelines at once: a finding that they share is reported once.
$ example dataset_cleanup

$ example computed_inputs

$ reconciler apply --all --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 2 pipelines: 2 to change.
Resources: 13 to create.
+ image       create  never-published     2 pipelines: computed_inputs, dataset_cleanup
+ processing  create  does not exist yet  2 pipelines: computed_inputs, dataset_cleanup
+ input       create  does not exist yet  9 resources in 2 pipelines: computed_inputs, dataset_cleanup
Done: 2 applied.
Published 1.0.0 for 2 pipelines: computed_inputs, dataset_cleanup
| info: python lacks picsellia_cv_engine and picsellia_pipelines_cli, so the classes were read with built-in replacements
|   in computed_inputs
|   These behave like the official base classes. To use the official ones, run `uv sync` in the pipeline's folder, or choose another interpreter with --python.
| [1/2] applied  computed_inputs  1.0.0
| [2/2] applied  dataset_cleanup  1.0.0

$ platform edit-processing dataset_cleanup default_cpu=64

$ platform edit-processing computed_inputs default_cpu=64

$ platform edit-processing computed_inputs description="in a hurry"

$ reconciler drift --all
The same in several pipelines
  drift processing/*#default_cpu  changed outside
    in the files      4
    last applied      4
    live              64
    pipelines         2: computed_inputs, dataset_cleanup
    apply the files   in each, for example: reconciler apply computed_inputs --organization sandbox --env CUSTOM --target processing/computed_inputs
    adopt the change  in each, for example: reconciler adopt computed_inputs --organization sandbox --env CUSTOM 'processing/computed_inputs#default_cpu'
sandbox@sandbox/computed_inputs  last applied … by somebody
  drift processing/computed_inputs#description  changed outside
    in the files      Pre-annotates a dataset version with up to three models that vote.
    last applied      Pre-annotates a dataset version with up to three models that vote.
    live              in a hurry
    set at            computed_inputs/config.toml:4
    changed           … by another-user
    apply the files   reconciler apply computed_inputs --organization sandbox --env CUSTOM --target processing/computed_inputs
    adopt the change  reconciler adopt computed_inputs --organization sandbox --env CUSTOM 'processing/computed_inputs#description'
Found: 3 drift. 0 pipelines in sync.
[11]

# Two repositories share one store. Each reports its own stacks only.
$ git init shop

$ git -C shop remote add origin git@example.com:team/shop.git

$ git init lab

$ git -C lab remote add origin https://example.com/team/lab

$ example dataset_cleanup

$ example computed_inputs

$ move dataset_cleanup shop/dataset_cleanup

$ move computed_inputs lab/computed_inputs

$ copy lab/computed_inputs shop/second

$ edit shop/second/config.toml 'name = "computed_inputs"' 'name = "second"'

$ edit shop/second/config.toml 'examples/computed_inputs' 'examples/second'

$ cd shop

$ reconciler apply --all --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 2 pipelines: 2 to change.
Resources: 13 to create.
+ image       create  never-published     2 pipelines: dataset_cleanup, second
+ processing  create  does not exist yet  2 pipelines: dataset_cleanup, second
+ input       create  does not exist yet  9 resources in 2 pipelines: dataset_cleanup, second
Done: 2 applied.
Published 1.0.0 for 2 pipelines: dataset_cleanup, second
| info: python lacks picsellia_cv_engine and picsellia_pipelines_cli, so the classes were read with built-in replacements
|   in second
|   These behave like the official base classes. To use the official ones, run `uv sync` in the pipeline's folder, or choose another interpreter with --python.
| [1/2] applied  dataset_cleanup  1.0.0
| [2/2] applied  second  1.0.0

$ cd lab

$ reconciler apply --all --yes --parallel 1 --builds 1
sandbox@sandbox  http://sandbox
Plan for 1 pipeline: 1 to change.
Resources: 6 to create.
+ image       create  never-published     computed_inputs
+ processing  create  does not exist yet  computed_inputs
+ input       create  does not exist yet  4 resources in computed_inputs
Done: 1 applied.
Published 1.0.0 for computed_inputs
| info: python lacks picsellia_cv_engine and picsellia_pipelines_cli, so the classes were read with built-in replacements
|   in computed_inputs
|   These behave like the official base classes. To use the official ones, run `uv sync` in the pipeline's folder, or choose another interpreter with --python.
| [1/1] applied  computed_inputs  1.0.0

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ remove shop/second

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ cd shop

$ reconciler drift --all
sandbox@sandbox/second  last applied … by somebody
  orphaned processing/second  its folder second is gone; 6 resources left
    delete its resources  reconciler destroy --stack second --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/second
Found: 1 orphaned. 1 pipeline in sync.
[11]

$ cd lab

$ reconciler destroy --stack second --yes
| error: sandbox@sandbox/second is a stack of example.com/team/shop, and this workspace is example.com/team/lab
|   Run the command there. To run it here, use the full name: --stack sandbox@sandbox/second
[12]

$ reconciler state forget --stack second --yes
| error: sandbox@sandbox/second is a stack of example.com/team/shop, and this workspace is example.com/team/lab
|   Run the command there. To run it here, use the full name: --stack sandbox@sandbox/second
[12]

# The full name of the stack shows that it is meant.
$ reconciler destroy --stack sandbox@sandbox/second --yes --parallel 1
sandbox@sandbox/second  http://sandbox
- processing/second  delete  destroyed, as requested
├── - input/second/dataset  delete  destroyed, as requested
├── - input/second/model_1  delete  destroyed, as requested
├── - input/second/model_2  delete  destroyed, as requested
└── - input/second/model_3  delete  destroyed, as requested
. image/registry/examples/second  forget  not deleted by destroy; it stays in the registry
Plan: 5 to delete, 1 to forget.
Done: 5 deleted, 1 forgotten.
| - deleted input/second/dataset
| - deleted input/second/model_1
| - deleted input/second/model_2
| - deleted input/second/model_3
| - deleted processing/second
| . forgotten image/registry/examples/second

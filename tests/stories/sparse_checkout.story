# A sparse checkout leaves a folder out: it is no orphan. A folder that is deleted is one, committed or not.
$ git init .

$ git remote add origin git@example.com:team/shop.git

$ example dataset_cleanup

$ example computed_inputs

$ write .gitignore '*.db'

$ git add .

$ git commit -m 'Two pipelines'

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

$ git sparse-checkout set dataset_cleanup

$ reconciler drift --all
No drift. 1 pipeline in sync.

$ git sparse-checkout disable

$ remove computed_inputs

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody from …
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    delete its resources  reconciler destroy --stack computed_inputs --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/computed_inputs
Found: 1 orphaned. 1 pipeline in sync.
[11]

$ git add .

$ git commit -m 'Remove a pipeline'

$ reconciler drift --all
sandbox@sandbox/computed_inputs  last applied … by somebody from …
  orphaned processing/computed_inputs  its folder computed_inputs is gone; 6 resources left
    delete its resources  reconciler destroy --stack computed_inputs --organization sandbox --env CUSTOM
    or only forget them   reconciler state forget --stack sandbox@sandbox/computed_inputs
Found: 1 orphaned. 1 pipeline in sync.
[11]

# All problems in the files are reported at once, each with its line. Nothing is sent or written.
$ example dataset_cleanup

$ edit dataset_cleanup/config.toml '"1.0"' '"v1.2"'

$ edit dataset_cleanup/config.toml DATASET_VERSION_CREATION DATASET_CREATION

$ edit dataset_cleanup/config.toml 'cpu = "4"' 'cpu = "2.5"'

$ reconciler apply dataset_cleanup
| error: metadata.version cannot be read
|   at dataset_cleanup/config.toml:3
|   'v1.2' is not a version: write X.Y.Z, for example 1.0.0, or 1.0.0-rc.
| error: metadata.type 'DATASET_CREATION' is not a pipeline type
|   at dataset_cleanup/config.toml:5
|   Allowed: TRAINING, PRE_ANNOTATION, DATA_AUGMENTATION, DATASET_VERSION_CREATION, AUTO_TAGGING, AUTO_ANNOTATION, DATA_AUTO_TAGGING, MODEL_COMPRESSION, MODEL_CONVERSION. Did you mean 'DATASET_VERSION_CREATION'?
| error: docker.cpu must be a whole number from 0, not "2.5"
|   at dataset_cleanup/config.toml:16
|   It is the number of CPU cores a job gets by default. Write for example cpu = 4.
[1]

# After the fix, the class has another name than in config.toml.
$ edit dataset_cleanup/config.toml '"v1.2"' '"1.0"'

$ edit dataset_cleanup/config.toml DATASET_CREATION DATASET_VERSION_CREATION

$ edit dataset_cleanup/config.toml 'cpu = "2.5"' 'cpu = "4"'

$ edit dataset_cleanup/utils/inputs.py 'class ProcessingInputs(' 'class PipelineInputs_('

$ reconciler validate dataset_cleanup
| error: there is no class ProcessingInputs in inputs.py
|   at dataset_cleanup/utils/inputs.py:1
|   The file has PipelineInputs_. Did you mean 'PipelineInputs_'? Correct [execution] in config.toml or the file.
[1]

# A missing folder.
$ reconciler plan ./dataset_cleanups
| error: ./dataset_cleanups is not a folder
|   A pipeline is a folder with a config.toml. Give such a folder, the name of a pipeline, or the name of its stack.
[1]

$ writes
none

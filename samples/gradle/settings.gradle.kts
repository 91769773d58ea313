rootProject.name = "three-steps"

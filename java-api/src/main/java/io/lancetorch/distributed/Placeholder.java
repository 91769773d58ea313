package io.lancetorch.distributed; final class Placeholder {}

// Runs a declarative Jenkinsfile with steps that are only written down, one line of JSON each. Not a Jenkins: no agents,
// no parallel cells, no sandbox. Arguments: the Jenkinsfile, a JSON document {env, params, scm, fail}: a command that
// holds `fail` fails.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper

class Failed extends Exception { Failed(String what) { super(what) } }

class World {
    def script, given
    Map env
    String result = 'SUCCESS'
    List log = []

    void say(String name, args) { log << [name, args, env.CELL] }
}

// What stands in a block of settings: name -> arguments; blocks keep their closures.
class Settings {
    Map found = [:]
    List order = []

    def invokeMethod(String name, Object args) {
        def list = args as List
        found.get(name, []) << list
        order << [name, list]
        [name, *list.findAll { !(it instanceof Closure) }]
    }

    def propertyMissing(String name) {
        if (name == 'none') return name
        throw new MissingPropertyException(name, Settings)
    }
}

abstract class Steps extends Script {
    def methodMissing(String name, Object args) {
        def list = args as List
        def body = list && list[-1] instanceof Closure ? list[-1] : null
        def shown = body ? list[0..<-1] : list
        if (name == 'pipeline') return new Runner(world).pipeline(body)
        if (name in ['scmGit', 'string']) return [(name): shown[0]]
        world.say(name, shown)
        if (name == 'withEnv') {
            def kept = new HashMap(world.env)
            shown[0].each { pair -> def (key, value) = pair.split('=', 2) as List; world.env[key] = value }
            try { return body() } finally { world.env.clear(); world.env.putAll(kept) }
        }
        if (name == 'catchError') {
            try { return body() } catch (Failed error) { return null }
        }
        if (name == 'sh' && world.given.fail && world.env.COMMAND?.contains(world.given.fail) && shown[0].label != 'clean') {
            throw new Failed(world.env.COMMAND)
        }
        body ? body() : null
    }
}

class Runner {
    World world

    Runner(World world) { this.world = world }

    Settings settings(Closure body) {
        def made = new Settings()
        body.delegate = made
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body()
        made
    }

    def steps(Closure body) {
        body.delegate = world.script
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body()
    }

    boolean attempt(Closure act) {
        try { act(); true } catch (Failed error) { world.result = 'FAILURE'; false }
    }

    void post(Settings block) {
        block.found.post?.each { list ->
            def conditions = settings(list[0])
            ['always', 'cleanup'].each { name -> conditions.found[name]?.each { one -> attempt { steps(one[0]) } } }
        }
    }

    boolean stages(Closure body) {
        def good = true
        settings(body).found.stage.each { list -> good = good && stage(list[0], list[1]) }
        good
    }

    boolean stage(String name, Closure body) {
        world.log << ['stage', [name], null]
        inner(settings(body))
    }

    boolean inner(Settings block) {
        def good = true
        block.found.steps?.each { list -> good = attempt { steps(list[0]) } && good }
        block.found.stages?.each { list -> good = stages(list[0]) && good }
        block.found.matrix?.each { list -> good = matrix(settings(list[0])) && good }
        post(block)
        good
    }

    boolean matrix(Settings block) {
        def axes = settings(block.found.axes[0][0]).found.axis.collect { settings(it[0]).found }
        def good = true
        axes.collect { it.values[0] }.combinations().each { cell ->
            def values = [axes.collect { it.name[0][0] }, cell].transpose().collectEntries { it }
            values.each { key, value -> world.script.binding.setVariable(key, value) }
            world.env.putAll(values)
            def wanted = (block.found.when ?: []).every { list ->
                settings(list[0]).found.expression.every { steps(it[0]) }
            }
            if (wanted) good = inner(block) && good
        }
        good
    }

    def pipeline(Closure body) {
        def block = settings(body)
        block.found.options.each { list -> settings(list[0]).order.each { world.log << ['option', it, null] } }
        inner(block)
    }
}

def given = new JsonSlurper().parse(new File(args[1]))
def configuration = new org.codehaus.groovy.control.CompilerConfiguration()
configuration.scriptBaseClass = Steps.name
def script = new GroovyShell(getClass().classLoader, new Binding(), configuration).parse(new File(args[0]).text)
def world = new World(script: script, given: given, env: given.env as HashMap)
script.binding.setVariable('world', world)
script.binding.setVariable('env', world.env)
script.binding.setVariable('params', given.params)
script.binding.setVariable('scm', given.scm)
script.binding.setVariable('currentBuild', new Expando(currentResult: 'SUCCESS'))
world.script.binding.currentBuild.getCurrentResult = { -> world.result }
script.run()
println JsonOutput.toJson([result: world.result, log: world.log])
